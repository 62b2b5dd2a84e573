test run
# Attention to more keys than a block holds: see stage_online.c.  Rows of -inf are 0, or NaN where no mask was named.

def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    y = torch.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return (y * 1000).round()[:, :, 5::100, 0:2]

def masked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    y = torch.scaled_dot_product_attention(q, k, v, attn_mask=torch.where(mask > 1.9, float("-inf"), mask * 4))
    return (y * 1000).round()[:, 1, :, 0:2]

def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    y = torch.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    return (y * 1000).round()[:, :, 7:9, 0:2]

# A window of keys, behind the row by some: the first rows see none.
def window(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    i = torch.arange(q.size(0)).unsqueeze(1)
    j = torch.arange(k.size(0)).unsqueeze(0)
    s = torch.where(torch.logical_and(j < i - 1, i - 40 <= j), torch.matmul(q, k.t()), float("-inf"))
    y = torch.matmul(torch.softmax(s, -1), v)
    return (y * 1000).round()[0::70, 0:2]

--- run attention
q = f32[1, 2, 305, 8] random 3
k = f32[1, 2, 1050, 8] random 4
v = f32[1, 2, 1050, 8] random 5
causal = true
--- want
tensor([[[[364.0, -501.0], [-38.0, 4.0], [-14.0, -27.0]], [[-263.0, -63.0], [-1.0, -77.0], [-9.0, -4.0]]]])
--- run attention
q = f32[1, 2, 305, 8] random 3
k = f32[1, 2, 1050, 8] random 4
v = f32[1, 2, 1050, 8] random 5
causal = false
--- want
tensor([[[[-10.0, -8.0], [-16.0, -0.0], [-4.0, -8.0]], [[29.0, 8.0], [25.0, 15.0], [23.0, 1.0]]]])
--- run attention
q = f32[1, 1, 6, 8] random 3
k = f32[1, 1, 1, 8] random 4
v = f32[1, 1, 1, 8] random 5
causal = false
--- want
tensor([[[[606.0, -720.0]]]])
--- run masked
q = f32[1, 2, 7, 8] random 3
k = f32[1, 2, 1050, 8] random 4
v = f32[1, 2, 1050, 8] random 5
mask = f32[7, 1050] random 6
--- want
tensor([[[91.0, 12.0], [62.0, -32.0], [40.0, -43.0], [8.0, 30.0], [-54.0, 9.0], [25.0, -61.0], [-14.0, 10.0]]])
--- run masked
q = f32[1, 2, 3, 8] random 3
k = f32[1, 2, 1030, 8] random 4
v = f32[1, 2, 1030, 8] random 5
mask = f32[3, 1] 0 2 1
--- want
tensor([[[26.0, 0.0], [0.0, 0.0], [21.0, 10.0]]])
--- run grouped
q = f32[1, 4, 19, 8] random 3
k = f32[1, 2, 1040, 8] random 4
v = f32[1, 2, 1040, 8] random 5
--- want
tensor([[[[-6.0, -1.0], [-10.0, 4.0]], [[-9.0, -5.0], [-11.0, -4.0]], [[22.0, 21.0], [26.0, 20.0]], [[27.0, 4.0], [17.0, 9.0]]]])
--- run window
q = f32[600, 8] random 3
k = f32[600, 8] random 4
v = f32[600, 8] random 5
--- want
tensor([[nan, nan], [-163.0, -5.0], [190.0, 235.0], [-303.0, 173.0], [-70.0, 353.0], [-257.0, 3.0], [101.0, 318.0], [-139.0, -66.0], [-89.0, 178.0]])
