# functional.py: torch.nn.functional as user scripts call it: what has other parameters there than the operator of the same name.
#
# Functions of the namespace `functional`, in the form of prelude.py.  A name of torch.nn.functional that is not here means the
# operator.  A function that returns one or two tensors by `return_indices` has the argument only where it gives both.

def _reduction(reduction: str) -> int:
    if reduction == "none":
        return 0
    elif reduction == "mean":
        return 1
    elif reduction == "sum":
        return 2
    else:
        raise ValueError("{} is not a valid value for reduction".format(reduction))

# ------------------------------------------------------------------ norms and embeddings

@namespace("functional")
def batch_norm(input: Tensor, running_mean: Optional[Tensor], running_var: Optional[Tensor], weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Tensor:
    return torch.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, True)

@namespace("functional")
def instance_norm(input: Tensor, running_mean: Optional[Tensor] = None, running_var: Optional[Tensor] = None, weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-05) -> Tensor:
    return torch.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, True)

@namespace("functional")
def layer_norm(input: Tensor, normalized_shape: List[int], weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, eps: float = 1e-05) -> Tensor:
    return torch.layer_norm(input, normalized_shape, weight, bias, eps)

@namespace("functional")
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    return input / torch.clamp_min(torch.linalg_vector_norm(input, p, [dim], True), eps).expand_as(input)

@namespace("functional")
def embedding(input: Tensor, weight: Tensor, padding_idx: Optional[int] = None, max_norm: Optional[float] = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    if max_norm is not None:
        torch.embedding_renorm_(weight, input, max_norm, norm_type)
    return torch.embedding(weight, input, -1 if padding_idx is None else padding_idx)

@namespace("functional")
def embedding_bag(input: Tensor, weight: Tensor, offsets: Optional[Tensor] = None, max_norm: Optional[float] = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Optional[Tensor] = None, include_last_offset: bool = False, padding_idx: Optional[int] = None) -> Tensor:
    kind = 0
    if mode == "mean":
        kind = 1
    elif mode == "max":
        kind = 2
    elif mode != "sum":
        raise ValueError("mode has to be one of sum, mean or max")
    if max_norm is not None:
        torch.embedding_renorm_(weight, input, max_norm, norm_type)
    at = input
    scales = per_sample_weights
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences.")
        starts = torch.arange(input.size(0)) * input.size(1)
        at = input.reshape([-1])
        if per_sample_weights is not None:
            scales = per_sample_weights.reshape([-1])
    elif offsets is not None:
        starts = offsets
    else:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    return torch.embedding_bag(weight, at, starts, scale_grad_by_freq, kind, sparse, scales, include_last_offset, padding_idx)[0]

# ------------------------------------------------------------------ activations and dropout

@namespace("functional")
def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    return torch.dropout(input, p, training)

@namespace("functional")
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    return torch.dropout(input, p, training)

@namespace("functional")
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    return torch.dropout(input, p, training)

@namespace("functional")
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    return torch.dropout(input, p, training)

@namespace("functional")
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    return torch.dropout(input, p, training)

@namespace("functional")
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    return torch.dropout(input, p, training)

@namespace("functional")
def softmax(input: Tensor, dim: int, _stacklevel: int = 3, dtype: Optional[int] = None) -> Tensor:
    return torch.softmax(input, dim, dtype)

@namespace("functional")
def log_softmax(input: Tensor, dim: int, _stacklevel: int = 3, dtype: Optional[int] = None) -> Tensor:
    return torch.log_softmax(input, dim, dtype)

@namespace("functional")
def softmin(input: Tensor, dim: int, _stacklevel: int = 3, dtype: Optional[int] = None) -> Tensor:
    return torch.softmax(-input, dim, dtype)

@namespace("functional")
def rrelu(input: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool = False) -> Tensor:
    if training:
        raise NotImplementedError("rrelu in training mode is not supported")
    return torch.leaky_relu(input, (lower + upper) / 2)

# ------------------------------------------------------------------ pooling

@namespace("functional")
@overload("indices")
def max_pool1d(input: Tensor, kernel_size: BroadcastingList1[int], stride: Optional[BroadcastingList1[int]] = None, padding: BroadcastingList1[int] = 0, dilation: BroadcastingList1[int] = 1, ceil_mode: bool = False, *, return_indices: bool) -> Tuple[Tensor, Tensor]:
    torch._want_indices(return_indices)
    step = kernel_size if stride is None else stride
    return torch.max_pool1d_with_indices(input, kernel_size, step, padding, dilation, ceil_mode)

@namespace("functional")
@overload("indices")
def max_pool2d(input: Tensor, kernel_size: BroadcastingList2[int], stride: Optional[BroadcastingList2[int]] = None, padding: BroadcastingList2[int] = 0, dilation: BroadcastingList2[int] = 1, ceil_mode: bool = False, *, return_indices: bool) -> Tuple[Tensor, Tensor]:
    torch._want_indices(return_indices)
    step = kernel_size if stride is None else stride
    return torch.max_pool2d_with_indices(input, kernel_size, step, padding, dilation, ceil_mode)

@namespace("functional")
@overload("indices")
def max_pool3d(input: Tensor, kernel_size: BroadcastingList3[int], stride: Optional[BroadcastingList3[int]] = None, padding: BroadcastingList3[int] = 0, dilation: BroadcastingList3[int] = 1, ceil_mode: bool = False, *, return_indices: bool) -> Tuple[Tensor, Tensor]:
    torch._want_indices(return_indices)
    step = kernel_size if stride is None else stride
    return torch.max_pool3d_with_indices(input, kernel_size, step, padding, dilation, ceil_mode)

@namespace("functional")
def max_pool1d(input: Tensor, kernel_size: BroadcastingList1[int], stride: Optional[BroadcastingList1[int]] = None, padding: BroadcastingList1[int] = 0, dilation: BroadcastingList1[int] = 1, ceil_mode: bool = False) -> Tensor:
    return torch.max_pool1d(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)

@namespace("functional")
def max_pool2d(input: Tensor, kernel_size: BroadcastingList2[int], stride: Optional[BroadcastingList2[int]] = None, padding: BroadcastingList2[int] = 0, dilation: BroadcastingList2[int] = 1, ceil_mode: bool = False) -> Tensor:
    return torch.max_pool2d(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)

@namespace("functional")
def max_pool3d(input: Tensor, kernel_size: BroadcastingList3[int], stride: Optional[BroadcastingList3[int]] = None, padding: BroadcastingList3[int] = 0, dilation: BroadcastingList3[int] = 1, ceil_mode: bool = False) -> Tensor:
    return torch.max_pool3d(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)

def _want_indices(return_indices: bool) -> None:
    if not return_indices:
        raise NotImplementedError("leave return_indices out where the indices are not wanted")

@namespace("functional")
@overload("indices")
def adaptive_max_pool1d(input: Tensor, output_size: BroadcastingList1[int], return_indices: bool) -> Tuple[Tensor, Tensor]:
    torch._want_indices(return_indices)
    return torch.adaptive_max_pool1d(input, output_size)

@namespace("functional")
@overload("indices")
def adaptive_max_pool2d(input: Tensor, output_size: BroadcastingList2[int], return_indices: bool) -> Tuple[Tensor, Tensor]:
    torch._want_indices(return_indices)
    return torch.adaptive_max_pool2d(input, output_size)

@namespace("functional")
@overload("indices")
def adaptive_max_pool3d(input: Tensor, output_size: BroadcastingList3[int], return_indices: bool) -> Tuple[Tensor, Tensor]:
    torch._want_indices(return_indices)
    return torch.adaptive_max_pool3d(input, output_size)

@namespace("functional")
def adaptive_max_pool1d(input: Tensor, output_size: BroadcastingList1[int]) -> Tensor:
    return torch.adaptive_max_pool1d(input, output_size)[0]

@namespace("functional")
def adaptive_max_pool2d(input: Tensor, output_size: BroadcastingList2[int]) -> Tensor:
    return torch.adaptive_max_pool2d(input, output_size)[0]

@namespace("functional")
def adaptive_max_pool3d(input: Tensor, output_size: BroadcastingList3[int]) -> Tensor:
    return torch.adaptive_max_pool3d(input, output_size)[0]

def _unpooled(input: Tensor, kernel_size: List[int], stride: Optional[List[int]], padding: List[int], output_size: Optional[List[int]]) -> List[int]:
    n = len(kernel_size)
    if output_size is not None:
        return output_size[len(output_size) - n:]
    step = kernel_size if stride is None else stride
    return [(input.size(input.dim() - n + i) - 1) * step[i] + kernel_size[i] - 2 * padding[i] for i in range(n)]

@namespace("functional")
def max_unpool1d(input: Tensor, indices: Tensor, kernel_size: BroadcastingList1[int], stride: Optional[BroadcastingList1[int]] = None, padding: BroadcastingList1[int] = 0, output_size: Optional[List[int]] = None) -> Tensor:
    return torch._max_unpool(input, indices, torch._unpooled(input, kernel_size, stride, padding, output_size))

@namespace("functional")
def max_unpool2d(input: Tensor, indices: Tensor, kernel_size: BroadcastingList2[int], stride: Optional[BroadcastingList2[int]] = None, padding: BroadcastingList2[int] = 0, output_size: Optional[List[int]] = None) -> Tensor:
    return torch._max_unpool(input, indices, torch._unpooled(input, kernel_size, stride, padding, output_size))

@namespace("functional")
def max_unpool3d(input: Tensor, indices: Tensor, kernel_size: BroadcastingList3[int], stride: Optional[BroadcastingList3[int]] = None, padding: BroadcastingList3[int] = 0, output_size: Optional[List[int]] = None) -> Tensor:
    return torch._max_unpool(input, indices, torch._unpooled(input, kernel_size, stride, padding, output_size))

def _lp_root(mean: Tensor, p: float, count: int) -> Tensor:
    return torch.pow(torch.sign(mean) * torch.relu(torch.abs(mean)) * count, 1.0 / p)

@namespace("functional")
def lp_pool1d(input: Tensor, norm_type: number, kernel_size: BroadcastingList1[int], stride: Optional[BroadcastingList1[int]] = None, ceil_mode: bool = False) -> Tensor:
    step = kernel_size if stride is None else stride
    m = torch.avg_pool1d(torch.pow(input, norm_type), kernel_size, step, [0], ceil_mode)
    return torch._lp_root(m, float(norm_type), kernel_size[0])

@namespace("functional")
def lp_pool2d(input: Tensor, norm_type: number, kernel_size: BroadcastingList2[int], stride: Optional[BroadcastingList2[int]] = None, ceil_mode: bool = False) -> Tensor:
    step = kernel_size if stride is None else stride
    m = torch.avg_pool2d(torch.pow(input, norm_type), kernel_size, step, [0, 0], ceil_mode)
    return torch._lp_root(m, float(norm_type), kernel_size[0] * kernel_size[1])

# ------------------------------------------------------------------ resampling, windows

@namespace("functional")
def interpolate(input: Tensor, size: Optional[BroadcastingList1[int]] = None, scale_factor: Optional[BroadcastingList1[float]] = None, mode: str = "nearest", align_corners: Optional[bool] = None, recompute_scale_factor: Optional[bool] = None, antialias: bool = False) -> Tensor:
    n = input.dim() - 2
    corners = False
    if align_corners is not None:
        corners = align_corners
    sizes: Optional[List[int]] = None
    scales: Optional[List[float]] = None
    if size is not None:
        sizes = [size[i if len(size) > 1 else 0] for i in range(n)]
    if scale_factor is not None:
        scales = [scale_factor[i if len(scale_factor) > 1 else 0] for i in range(n)]
        if recompute_scale_factor is not None and recompute_scale_factor:
            sizes = torch._resampled_size(input, None, scales)
            scales = None
    if antialias:
        if mode == "bilinear" and n == 2:
            return torch._upsample_bilinear2d_aa(input, sizes, corners, scales)
        elif mode == "bicubic" and n == 2:
            return torch._upsample_bicubic2d_aa(input, sizes, corners, scales)
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input")
    if mode == "nearest":
        if n == 1:
            return torch.upsample_nearest1d(input, sizes, scales)
        elif n == 2:
            return torch.upsample_nearest2d(input, sizes, scales)
        elif n == 3:
            return torch.upsample_nearest3d(input, sizes, scales)
    elif mode == "nearest-exact":
        if n == 1:
            return torch._upsample_nearest_exact1d(input, sizes, scales)
        elif n == 2:
            return torch._upsample_nearest_exact2d(input, sizes, scales)
        elif n == 3:
            return torch._upsample_nearest_exact3d(input, sizes, scales)
    elif mode == "area":
        to = torch._resampled_size(input, sizes, scales)
        if n == 1:
            return torch.adaptive_avg_pool1d(input, to)
        elif n == 2:
            return torch.adaptive_avg_pool2d(input, to)
        elif n == 3:
            return torch.adaptive_avg_pool3d(input, to)
    elif mode == "linear" and n == 1:
        return torch.upsample_linear1d(input, sizes, corners, scales)
    elif mode == "bilinear" and n == 2:
        return torch.upsample_bilinear2d(input, sizes, corners, scales)
    elif mode == "trilinear" and n == 3:
        return torch.upsample_trilinear3d(input, sizes, corners, scales)
    elif mode == "bicubic" and n == 2:
        return torch.upsample_bicubic2d(input, sizes, corners, scales)
    raise NotImplementedError("Input Error: {}D input has no interpolation mode {}".format(n + 2, mode))

@namespace("functional")
def upsample(input: Tensor, size: Optional[BroadcastingList1[int]] = None, scale_factor: Optional[BroadcastingList1[float]] = None, mode: str = "nearest", align_corners: Optional[bool] = None) -> Tensor:
    return torch.ops.functional.interpolate(input, size, scale_factor, mode, align_corners)

@namespace("functional")
def grid_sample(input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: Optional[bool] = None) -> Tensor:
    kind = 0
    if mode == "nearest":
        kind = 1
    elif mode == "bicubic":
        kind = 2
    elif mode != "bilinear":
        raise ValueError("nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{}'".format(mode))
    pad = 0
    if padding_mode == "border":
        pad = 1
    elif padding_mode == "reflection":
        pad = 2
    elif padding_mode != "zeros":
        raise ValueError("nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{}'".format(padding_mode))
    return torch.grid_sampler(input, grid, kind, pad, False if align_corners is None else align_corners)

@namespace("functional")
def affine_grid(theta: Tensor, size: List[int], align_corners: Optional[bool] = None) -> Tensor:
    return torch.affine_grid_generator(theta, size, False if align_corners is None else align_corners)

@namespace("functional")
def unfold(input: Tensor, kernel_size: BroadcastingList2[int], dilation: BroadcastingList2[int] = 1, padding: BroadcastingList2[int] = 0, stride: BroadcastingList2[int] = 1) -> Tensor:
    return torch.im2col(input, kernel_size, dilation, padding, stride)

@namespace("functional")
def fold(input: Tensor, output_size: BroadcastingList2[int], kernel_size: BroadcastingList2[int], dilation: BroadcastingList2[int] = 1, padding: BroadcastingList2[int] = 0, stride: BroadcastingList2[int] = 1) -> Tensor:
    return torch.col2im(input, output_size, kernel_size, dilation, padding, stride)

# ------------------------------------------------------------------ losses

@namespace("functional")
def mse_loss(input: Tensor, target: Tensor, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean", weight: Optional[Tensor] = None) -> Tensor:
    loss = torch.mse_loss(input, target, 0)
    if weight is None:
        return torch._reduce_loss(loss, torch._reduction(reduction))
    loss = loss * weight
    return loss.sum() / torch.sum(weight.expand_as(loss)) if reduction == "mean" else torch._reduce_loss(loss, torch._reduction(reduction))

@namespace("functional")
def l1_loss(input: Tensor, target: Tensor, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.l1_loss(input, target, torch._reduction(reduction))

@namespace("functional")
def smooth_l1_loss(input: Tensor, target: Tensor, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    return torch.smooth_l1_loss(input, target, torch._reduction(reduction), beta)

@namespace("functional")
def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    return torch.huber_loss(input, target, torch._reduction(reduction), delta)

@namespace("functional")
def cross_entropy(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, size_average: Optional[bool] = None, ignore_index: int = -100, reduce: Optional[bool] = None, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    return torch.cross_entropy_loss(input, target, weight, torch._reduction(reduction), ignore_index, label_smoothing)

@namespace("functional")
def nll_loss(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, size_average: Optional[bool] = None, ignore_index: int = -100, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.nll_loss_nd(input, target, weight, torch._reduction(reduction), ignore_index)

@namespace("functional")
def binary_cross_entropy(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.binary_cross_entropy(input, target, weight, torch._reduction(reduction))

@namespace("functional")
def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean", pos_weight: Optional[Tensor] = None) -> Tensor:
    return torch.binary_cross_entropy_with_logits(input, target, weight, pos_weight, torch._reduction(reduction))

@namespace("functional")
def kl_div(input: Tensor, target: Tensor, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean", log_target: bool = False) -> Tensor:
    if reduction == "batchmean":
        return torch.kl_div(input, target, 2, log_target=log_target) / input.size(0)
    return torch.kl_div(input, target, torch._reduction(reduction), log_target=log_target)

@namespace("functional")
def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Optional[bool] = None, eps: float = 1e-08, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.poisson_nll_loss(input, target, log_input, full, eps, torch._reduction(reduction))

@namespace("functional")
def gaussian_nll_loss(input: Tensor, target: Tensor, var: Tensor, full: bool = False, eps: float = 1e-06, reduction: str = "mean") -> Tensor:
    v = var
    if var.dim() + 1 == input.dim():
        v = var.unsqueeze(-1)
    v = torch.clamp_min(v, eps)
    d = input - target
    loss = 0.5 * (torch.log(v) + d * d / v)
    if full:
        loss = loss + 0.9189385332046727
    return torch._reduce_loss(loss, torch._reduction(reduction))

@namespace("functional")
def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.margin_ranking_loss(input1, input2, target, margin, torch._reduction(reduction))

@namespace("functional")
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.hinge_embedding_loss(input, target, margin, torch._reduction(reduction))

@namespace("functional")
def soft_margin_loss(input: Tensor, target: Tensor, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.soft_margin_loss(input, target, torch._reduction(reduction))

@namespace("functional")
def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.cosine_embedding_loss(input1, input2, target, margin, torch._reduction(reduction))

@namespace("functional")
def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Optional[Tensor] = None, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.multi_margin_loss(input, target, p, margin, weight, torch._reduction(reduction))

@namespace("functional")
def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.multilabel_margin_loss(input, target, torch._reduction(reduction))

@namespace("functional")
def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.multilabel_soft_margin_loss(input, target, weight, torch._reduction(reduction))

@namespace("functional")
def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0, eps: float = 1e-06, swap: bool = False, size_average: Optional[bool] = None, reduce: Optional[bool] = None, reduction: str = "mean") -> Tensor:
    return torch.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, torch._reduction(reduction))
