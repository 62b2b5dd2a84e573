# prelude.py: the composite operators: everything that is not a row of ir/ops.def, written with rows and with each other.
#
# A function is an op of namespace aten; @overload names the overload, @namespace another namespace, @alias says that the
# result may share the first argument's memory, Mut[Tensor] marks an argument that is written.  In-place (name_) and out=
# forms are derived.  dtypes are TorchScript's numbers: 5 f16, 6 f32, 7 f64, 4 i64, 11 bool, 15 bf16.  Parameters that only
# say where a tensor lives (layout, device, pin_memory, memory_format) are accepted and ignored.
# Low precision floats are widened for what sums or exponentiates, and rounded once at the end, as PyTorch's kernels do.

# ------------------------------------------------------------------ helpers

def _wrap_dim(dim: int, rank: int) -> int:
    n = rank if rank > 0 else 1
    if dim < -n or dim >= n:
        raise IndexError("Dimension out of range (expected to be in range of [{}, {}], but got {})".format(-n, n - 1, dim))
    return dim + n if dim < 0 else dim

def _is_low(dtype: int) -> bool:
    return dtype == 5 or dtype == 15

def _widen(x: Tensor) -> Tensor:
    d = x.dtype
    return x.to(6) if d == 5 or d == 15 else x

def _like(x: Tensor, like: Tensor) -> Tensor:
    return x.to(like.dtype)

def _channels(x: Tensor, rank: int) -> Tensor:
    """A vector over dim 1 of a tensor of that rank."""
    shape: List[int] = [1, -1]
    for i in range(rank - 2):
        shape.append(1)
    return x.reshape(shape)

def _prod(xs: List[int]) -> int:
    n = 1
    for x in xs:
        n = n * x
    return n

def _two(xs: List[int], i: int) -> int:
    return xs[0] if len(xs) == 1 else xs[i]

def broadcast_shapes(a: List[int], b: List[int]) -> List[int]:
    return torch._infer_size(a, b)

@overload("three")
def broadcast_shapes(a: List[int], b: List[int], c: List[int]) -> List[int]:
    return torch._infer_size(torch._infer_size(a, b), c)

def _reduce_loss(x: Tensor, reduction: int) -> Tensor:
    if reduction == 1:
        return x.mean()
    elif reduction == 2:
        return x.sum()
    else:
        return x

# ------------------------------------------------------------------ what ops meant in older archives

@overload("Tensor")
def _div_0_3(self: Tensor, other: Tensor) -> Tensor:
    if self.is_floating_point() or other.is_floating_point():
        return torch.div(self, other)
    return torch.div(self, other, rounding_mode="trunc")

@overload("Scalar")
def _div_0_3(self: Tensor, other: number) -> Tensor:
    if self.is_floating_point() or isinstance(other, float):
        return torch.div(self, other)
    return torch.div(self, other, rounding_mode="trunc")

def _full_0_4(size: List[int], fill_value: number, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, fill_value, dtype=6 if dtype is None else dtype)

# ------------------------------------------------------------------ types and places

@overload("dtype")
@alias
def to(self: Tensor, dtype: int, non_blocking: bool = False, copy: bool = False, memory_format: Optional[int] = None) -> Tensor:
    return self if self.dtype == dtype and not copy else torch._to_copy(self, dtype)

@overload("device")
@alias
def to(self: Tensor, device: Device, dtype: int, non_blocking: bool = False, copy: bool = False, memory_format: Optional[int] = None) -> Tensor:
    return self if self.dtype == dtype and not copy else torch._to_copy(self, dtype)

@overload("dtype_layout")
@alias
def to(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, non_blocking: bool = False, copy: bool = False, memory_format: Optional[int] = None) -> Tensor:
    d = self.dtype if dtype is None else dtype
    return self if self.dtype == d and not copy else torch._to_copy(self, d)

@overload("other")
@alias
def to(self: Tensor, other: Tensor, non_blocking: bool = False, copy: bool = False, memory_format: Optional[int] = None) -> Tensor:
    return self if self.dtype == other.dtype and not copy else torch._to_copy(self, other.dtype)

@overload("prim_Device")
@alias
def to(self: Tensor, device: Optional[Device], dtype: Optional[int] = None, non_blocking: bool = False, copy: bool = False) -> Tensor:
    d = self.dtype if dtype is None else dtype
    return self if self.dtype == d and not copy else torch._to_copy(self, d)

@overload("prim_dtype")
@alias
def to(self: Tensor, dtype: Optional[int] = None, non_blocking: bool = False, copy: bool = False) -> Tensor:
    d = self.dtype if dtype is None else dtype
    return self if self.dtype == d and not copy else torch._to_copy(self, d)

@overload("prim_other")
@alias
def to(self: Tensor, non_blocking: bool = False, copy: bool = False) -> Tensor:
    return self.clone() if copy else self

@alias
def type_as(self: Tensor, other: Tensor) -> Tensor:
    return self.to(other.dtype)

@alias
def float(self: Tensor) -> Tensor:
    return torch.to(self, 6)

@alias
def double(self: Tensor) -> Tensor:
    return torch.to(self, 7)

@alias
def half(self: Tensor) -> Tensor:
    return torch.to(self, 5)

@alias
def bfloat16(self: Tensor) -> Tensor:
    return torch.to(self, 15)

@alias
def long(self: Tensor) -> Tensor:
    return torch.to(self, 4)

@alias
def int(self: Tensor) -> Tensor:
    return torch.to(self, 3)

@alias
def short(self: Tensor) -> Tensor:
    return torch.to(self, 2)

@alias
def char(self: Tensor) -> Tensor:
    return torch.to(self, 1)

@alias
def byte(self: Tensor) -> Tensor:
    return torch.to(self, 0)

@alias
def bool(self: Tensor) -> Tensor:
    return torch.to(self, 11)

@alias
def cpu(self: Tensor) -> Tensor:
    return self

@namespace("prim")
@alias
def data(a: Tensor) -> Tensor:
    return a.detach()

@alias
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    return self

@alias
def real(self: Tensor) -> Tensor:
    return self

@alias
def conj(self: Tensor) -> Tensor:
    return self

@alias
def resolve_conj(self: Tensor) -> Tensor:
    return self

@alias
def resolve_neg(self: Tensor) -> Tensor:
    return self

@alias
def positive(self: Tensor) -> Tensor:
    return self

@alias
def lift_fresh(self: Tensor) -> Tensor:
    return self

def lift_fresh_copy(self: Tensor) -> Tensor:
    return self.clone()

def conj_physical(self: Tensor) -> Tensor:
    return self.clone()

@overload("data")
@alias
def as_tensor(data: Tensor, *, dtype: Optional[int] = None, device: Optional[Device] = None) -> Tensor:
    return data if dtype is None else data.to(dtype)

# ------------------------------------------------------------------ shapes

@alias
def view_as(self: Tensor, other: Tensor) -> Tensor:
    return self.view(other.size())

@alias
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    return self.reshape(other.size())

@alias
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    return self.expand(other.size())

@alias
def broadcast_to(self: Tensor, size: List[int]) -> Tensor:
    return self.expand(size)

@alias
def _unsafe_view(self: Tensor, size: List[int]) -> Tensor:
    return self.view(size)

@alias
def _reshape_alias(self: Tensor, size: List[int], stride: List[int]) -> Tensor:
    return self.as_strided(size, stride)

@overload("using_ints")
@alias
def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    n = self.dim()
    a = torch._wrap_dim(start_dim, n)
    b = torch._wrap_dim(end_dim, n)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if n == 0:
        return self.reshape([1])
    elif a == b:
        return self
    else:
        shape: List[int] = []
        k = 1
        for i in range(n):
            if i < a or i > b:
                shape.append(self.size(i))
            else:
                k = k * self.size(i)
                if i == b:
                    shape.append(k)
        return self.reshape(shape)

@overload("int")
@alias
def unflatten(self: Tensor, dim: int, sizes: List[int]) -> Tensor:
    n = self.dim()
    d = torch._wrap_dim(dim, n)
    known = 1
    for s in sizes:
        if s != -1:
            known = known * s
    shape: List[int] = []
    for i in range(n):
        if i == d:
            for s in sizes:
                shape.append(self.size(d) // known if s == -1 else s)
        else:
            shape.append(self.size(i))
    return self.view(shape)

@alias
def ravel(self: Tensor) -> Tensor:
    return self.contiguous().view([-1])

@alias
def narrow(self: Tensor, dim: int, start: int, length: int) -> Tensor:
    n = self.size(dim)
    s = start + n if start < 0 else start
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if s < 0 or s + length > n:
        raise RuntimeError("start ({}) + length ({}) exceeds dimension size ({}).".format(s, length, n))
    return torch.slice(self, dim, s, s + length, 1)

@overload("Tensor")
@alias
def narrow(self: Tensor, dim: int, start: Tensor, length: int) -> Tensor:
    return torch.narrow(self, dim, start.item(), length)

def narrow_copy(self: Tensor, dim: int, start: int, length: int) -> Tensor:
    return torch.narrow(self, dim, start, length).clone()

@alias
def split_with_sizes(self: Tensor, split_sizes: List[int], dim: int = 0) -> List[Tensor]:
    total = 0
    for s in split_sizes:
        total = total + s
    if total != self.size(dim):
        raise RuntimeError("split_with_sizes expects split_sizes to sum exactly to {} (input tensor's size at dimension {}), but got split_sizes={}".format(self.size(dim), dim, split_sizes))
    out: List[Tensor] = []
    at = 0
    for s in split_sizes:
        out.append(torch.slice(self, dim, at, at + s, 1))
        at = at + s
    return out

@overload("sizes")
@alias
def split(self: Tensor, split_size: List[int], dim: int = 0) -> List[Tensor]:
    return torch.split_with_sizes(self, split_size, dim)

@overload("Tensor")
@alias
def split(self: Tensor, split_size: int, dim: int = 0) -> List[Tensor]:
    n = self.size(dim)
    if split_size < 0:
        raise RuntimeError("split expects split_size be non-negative, but got split_size={}".format(split_size))
    if split_size == 0 and n != 0:
        raise RuntimeError("split_size can only be 0 if dimension size is 0, but got dimension size of {}".format(n))
    out: List[Tensor] = []
    if split_size == 0 or n == 0:
        out.append(torch.slice(self, dim, 0, n, 1))
    else:
        for i in range((n + split_size - 1) // split_size):
            out.append(torch.slice(self, dim, i * split_size, (i + 1) * split_size, 1))
    return out

@alias
def unsafe_split(self: Tensor, split_size: int, dim: int = 0) -> List[Tensor]:
    return torch.split(self, split_size, dim)

@alias
def unsafe_split_with_sizes(self: Tensor, split_sizes: List[int], dim: int = 0) -> List[Tensor]:
    return torch.split_with_sizes(self, split_sizes, dim)

@alias
def chunk(self: Tensor, chunks: int, dim: int = 0) -> List[Tensor]:
    if chunks <= 0:
        raise RuntimeError("chunk expects `chunks` to be greater than 0, got: {}".format(chunks))
    n = self.size(dim)
    each = (n + chunks - 1) // chunks
    out: List[Tensor] = []
    if n == 0:
        for i in range(chunks):
            out.append(torch.slice(self, dim, 0, 0, 1))
    else:
        for i in range((n + each - 1) // each):
            out.append(torch.slice(self, dim, i * each, (i + 1) * each, 1))
    return out

@alias
def unsafe_chunk(self: Tensor, chunks: int, dim: int = 0) -> List[Tensor]:
    return torch.chunk(self, chunks, dim)

@overload("sections")
@alias
def tensor_split(self: Tensor, sections: int, dim: int = 0) -> List[Tensor]:
    if sections <= 0:
        raise RuntimeError("number of sections must be larger than 0, got {}".format(sections))
    n = self.size(dim)
    small = n // sections
    extra = n % sections
    out: List[Tensor] = []
    at = 0
    for i in range(sections):
        k = small + 1 if i < extra else small
        out.append(torch.slice(self, dim, at, at + k, 1))
        at = at + k
    return out

@overload("indices")
@alias
def tensor_split(self: Tensor, indices: List[int], dim: int = 0) -> List[Tensor]:
    out: List[Tensor] = []
    at = 0
    for i in indices:
        out.append(torch.slice(self, dim, at, i, 1))
        at = i
    out.append(torch.slice(self, dim, at, self.size(dim), 1))
    return out

@overload("tensor_indices_or_sections")
@alias
def tensor_split(self: Tensor, tensor_indices_or_sections: Tensor, dim: int = 0) -> List[Tensor]:
    if tensor_indices_or_sections.dim() == 0:
        return torch.tensor_split(self, torch.Int(tensor_indices_or_sections), dim)
    else:
        at: List[int] = []
        for i in range(tensor_indices_or_sections.size(0)):
            at.append(torch.Int(tensor_indices_or_sections[i]))
        return torch.tensor_split(self, at, dim)

@overload("int")
@alias
def hsplit(self: Tensor, sections: int) -> List[Tensor]:
    return torch.tensor_split(self, sections, 0 if self.dim() == 1 else 1)

@overload("array")
@alias
def hsplit(self: Tensor, indices: List[int]) -> List[Tensor]:
    return torch.tensor_split(self, indices, 0 if self.dim() == 1 else 1)

@overload("int")
@alias
def vsplit(self: Tensor, sections: int) -> List[Tensor]:
    return torch.tensor_split(self, sections, 0)

@overload("array")
@alias
def vsplit(self: Tensor, indices: List[int]) -> List[Tensor]:
    return torch.tensor_split(self, indices, 0)

@overload("int")
@alias
def dsplit(self: Tensor, sections: int) -> List[Tensor]:
    return torch.tensor_split(self, sections, 2)

@overload("array")
@alias
def dsplit(self: Tensor, indices: List[int]) -> List[Tensor]:
    return torch.tensor_split(self, indices, 2)

@overload("int")
@alias
def unbind(self: Tensor, dim: int = 0) -> List[Tensor]:
    out: List[Tensor] = []
    for i in range(self.size(dim)):
        out.append(torch.select(self, dim, i))
    return out

@overload("intlist")
@alias
def movedim(self: Tensor, source: List[int], destination: List[int]) -> Tensor:
    n = self.dim()
    if len(source) != len(destination):
        raise RuntimeError("movedim: Invalid source or destination dims: source ({} dims) should contain the same number of dims as destination ({} dims)".format(source, destination))
    order: List[int] = [-1 for i in range(n)]
    used: List[bool] = [False for i in range(n)]
    for i in range(len(source)):
        s = torch._wrap_dim(source[i], n)
        order[torch._wrap_dim(destination[i], n)] = s
        used[s] = True
    at = 0
    for i in range(n):
        if order[i] == -1:
            while used[at]:
                at = at + 1
            order[i] = at
            at = at + 1
    return self.permute(order)

@overload("int")
@alias
def movedim(self: Tensor, source: int, destination: int) -> Tensor:
    return torch.movedim(self, [source], [destination])

@overload("intlist")
@alias
def moveaxis(self: Tensor, source: List[int], destination: List[int]) -> Tensor:
    return torch.movedim(self, source, destination)

@overload("int")
@alias
def moveaxis(self: Tensor, source: int, destination: int) -> Tensor:
    return torch.movedim(self, [source], [destination])

@alias
def swapaxes(self: Tensor, axis0: int, axis1: int) -> Tensor:
    return self.transpose(axis0, axis1)

@alias
def swapdims(self: Tensor, dim0: int, dim1: int) -> Tensor:
    return self.transpose(dim0, dim1)

@alias
def numpy_T(self: Tensor) -> Tensor:
    n = self.dim()
    return self.permute([n - 1 - i for i in range(n)])

@alias
def T(self: Tensor) -> Tensor:
    return torch.numpy_T(self)

@alias
def matrix_H(self: Tensor) -> Tensor:
    return self.transpose(0, 1)

@alias
def mT(self: Tensor) -> Tensor:
    return self.transpose(-2, -1)

@alias
def mH(self: Tensor) -> Tensor:
    return self.transpose(-2, -1)

@alias
def adjoint(self: Tensor) -> Tensor:
    return self.transpose(-2, -1)

@alias
def atleast_1d(self: Tensor) -> Tensor:
    return self.reshape([1]) if self.dim() == 0 else self

@alias
def atleast_2d(self: Tensor) -> Tensor:
    if self.dim() == 0:
        return self.reshape([1, 1])
    elif self.dim() == 1:
        return self.unsqueeze(0)
    else:
        return self

@alias
def atleast_3d(self: Tensor) -> Tensor:
    if self.dim() == 0:
        return self.reshape([1, 1, 1])
    elif self.dim() == 1:
        return self.unsqueeze(0).unsqueeze(-1)
    elif self.dim() == 2:
        return self.unsqueeze(-1)
    else:
        return self

@overload("Sequence")
def atleast_1d(tensors: List[Tensor]) -> List[Tensor]:
    return [torch.atleast_1d(x) for x in tensors]

@overload("Sequence")
def atleast_2d(tensors: List[Tensor]) -> List[Tensor]:
    return [torch.atleast_2d(x) for x in tensors]

@overload("Sequence")
def atleast_3d(tensors: List[Tensor]) -> List[Tensor]:
    return [torch.atleast_3d(x) for x in tensors]

def stack(tensors: List[Tensor], dim: int = 0) -> Tensor:
    if len(tensors) == 0:
        raise RuntimeError("stack expects a non-empty TensorList")
    d = torch._wrap_dim(dim, tensors[0].dim() + 1)
    return torch.cat([x.unsqueeze(d) for x in tensors], d)

def concat(tensors: List[Tensor], dim: int = 0) -> Tensor:
    return torch.cat(tensors, dim)

def concatenate(tensors: List[Tensor], dim: int = 0) -> Tensor:
    return torch.cat(tensors, dim)

def hstack(tensors: List[Tensor]) -> Tensor:
    xs = [torch.atleast_1d(x) for x in tensors]
    return torch.cat(xs, 0 if xs[0].dim() == 1 else 1)

def vstack(tensors: List[Tensor]) -> Tensor:
    return torch.cat([torch.atleast_2d(x) for x in tensors], 0)

def row_stack(tensors: List[Tensor]) -> Tensor:
    return torch.vstack(tensors)

def dstack(tensors: List[Tensor]) -> Tensor:
    return torch.cat([torch.atleast_3d(x) for x in tensors], 2)

def column_stack(tensors: List[Tensor]) -> Tensor:
    xs = [x.reshape([x.numel(), 1]) if x.dim() <= 1 else x for x in tensors]
    return torch.cat(xs, 1)

def block_diag(tensors: List[Tensor]) -> Tensor:
    xs = [torch.atleast_2d(x) for x in tensors]
    cols = 0
    for x in xs:
        cols = cols + x.size(1)
    rows: List[Tensor] = []
    at = 0
    for x in xs:
        rows.append(torch.constant_pad_nd(x, [at, cols - at - x.size(1)], 0))
        at = at + x.size(1)
    return torch.cat(rows, 0)

@alias
def broadcast_tensors(tensors: List[Tensor]) -> List[Tensor]:
    return [torch._expand_with(x, tensors) for x in tensors]

@overload("indexing")
def meshgrid(tensors: List[Tensor], *, indexing: str) -> List[Tensor]:
    swap = indexing == "xy" and len(tensors) >= 2
    if indexing != "xy" and indexing != "ij":
        raise RuntimeError("torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: " + indexing)
    xs: List[Tensor] = []
    for i in range(len(tensors)):
        k = i
        if swap and i < 2:
            k = 1 - i
        xs.append(tensors[k])
    shape = [x.numel() for x in xs]
    out: List[Tensor] = []
    for i in range(len(xs)):
        one = [1 for j in range(len(xs))]
        one[i] = -1
        out.append(xs[i].reshape(one).expand(shape))
    if swap:
        res: List[Tensor] = []
        for i in range(len(out)):
            k = i
            if i < 2:
                k = 1 - i
            res.append(out[k])
        return res
    else:
        return out

def meshgrid(tensors: List[Tensor]) -> List[Tensor]:
    return torch.meshgrid(tensors, indexing="ij")

def cartesian_prod(tensors: List[Tensor]) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    else:
        grids = torch.meshgrid(tensors, indexing="ij")
        return torch.stack([torch.flatten(g) for g in grids], 1)

def combinations(self: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    n = self.size(0)
    if r == 0:
        return torch.empty([0], dtype=self.dtype)
    else:
        at = torch.arange(n)
        grids = torch.meshgrid([at for i in range(r)], indexing="ij")
        mask = torch.ones([n for i in range(r)], dtype=11)
        for i in range(r - 1):
            mask = mask & (grids[i] <= grids[i + 1] if with_replacement else grids[i] < grids[i + 1])
        values = torch.meshgrid([self for i in range(r)], indexing="ij")
        return torch.stack([torch.masked_select(v, mask) for v in values], 1)

def tile(self: Tensor, dims: List[int]) -> Tensor:
    reps: List[int] = []
    for i in range(self.dim() - len(dims)):
        reps.append(1)
    for d in dims:
        reps.append(d)
    return self.repeat(reps)

def rot90(self: Tensor, k: int = 1, dims: List[int] = [0, 1]) -> Tensor:
    turns = k % 4
    if turns == 1:
        return self.flip([dims[1]]).transpose(dims[0], dims[1])
    elif turns == 2:
        return self.flip(dims)
    elif turns == 3:
        return self.flip([dims[0]]).transpose(dims[0], dims[1])
    else:
        return self.clone()

def fliplr(self: Tensor) -> Tensor:
    return self.flip([1])

def flipud(self: Tensor) -> Tensor:
    return self.flip([0])

def diag(self: Tensor, diagonal: int = 0) -> Tensor:
    if self.dim() == 1:
        return torch.diag_embed(self, diagonal, 0, 1)
    else:
        return torch.diagonal(self, diagonal, 0, 1).clone()

def diagflat(self: Tensor, offset: int = 0) -> Tensor:
    return torch.diag_embed(self.contiguous().view([-1]), offset, 0, 1)

@alias
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    return torch.diagonal(A, offset, dim1, dim2)

def trace(self: Tensor) -> Tensor:
    return torch.diagonal(self, 0, 0, 1).sum()

def vander(x: Tensor, N: Optional[int] = None, increasing: bool = False) -> Tensor:
    n = x.size(0) if N is None else N
    powers = torch.arange(n)
    if not increasing:
        powers = powers.flip([0])
    return torch.pow(x.unsqueeze(-1), powers)

@alias
def pixel_shuffle(self: Tensor, upscale_factor: int) -> Tensor:
    n = self.dim()
    r = upscale_factor
    c = self.size(-3) // (r * r)
    if self.size(-3) % (r * r) != 0:
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={} is not divisible by {}".format(self.size(-3), r * r))
    h = self.size(-2)
    w = self.size(-1)
    lead = self.size()[0:n - 3]
    k = n - 3
    order = [i for i in range(k)] + [k, k + 3, k + 1, k + 4, k + 2]
    return self.reshape(lead + [c, r, r, h, w]).permute(order).reshape(lead + [c, h * r, w * r])

@alias
def pixel_unshuffle(self: Tensor, downscale_factor: int) -> Tensor:
    n = self.dim()
    r = downscale_factor
    c = self.size(-3)
    h = self.size(-2) // r
    w = self.size(-1) // r
    lead = self.size()[0:n - 3]
    k = n - 3
    order = [i for i in range(k)] + [k, k + 2, k + 4, k + 1, k + 3]
    return self.reshape(lead + [c, h, r, w, r]).permute(order).reshape(lead + [c * r * r, h, w])

def channel_shuffle(self: Tensor, groups: int) -> Tensor:
    n = self.size(0)
    c = self.size(1)
    rest = self.size()[2:]
    return self.reshape([n, groups, c // groups] + rest).transpose(1, 2).reshape(self.size())

# ------------------------------------------------------------------ making tensors

def zeros(size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 0, dtype=6 if dtype is None else dtype)

def ones(size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 1, dtype=6 if dtype is None else dtype)

@overload("memory_format")
def empty(size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    return torch.full(size, 0, dtype=6 if dtype is None else dtype)

def empty_strided(size: List[int], stride: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 0, dtype=6 if dtype is None else dtype)

def empty_permuted(size: List[int], physical_layout: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 0, dtype=6 if dtype is None else dtype)

def _arange_runtime(end: number, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch._arange_runtime(0, end, 1, dtype=dtype)

@overload("start")
def _arange_runtime(start: number, end: number, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch._arange_runtime(start, end, 1, dtype=dtype)

@overload("start_step")
def _arange_runtime(start: number, end: number, step: number = 1, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    """arange for a step, or bounds that are floats, that only the run knows."""
    if torch.Float(step) == 0.0:
        raise RuntimeError("step must be nonzero")
    if start > end if step > 0 else start < end:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        n = -((torch.Int(start) - torch.Int(end)) // torch.Int(step))
    else:
        length = (torch.Float(end) - torch.Float(start)) / torch.Float(step)
        if not (length < 4611686018427387904.0 and length > -4611686018427387904.0):
            raise RuntimeError("unsupported range")
        n = torch.ceil(length)
    return torch._arange(start, end, step, n, dtype=dtype)

def full_like(self: Tensor, fill_value: number, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    return torch.full(self.size(), fill_value, dtype=self.dtype if dtype is None else dtype)

def zeros_like(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    return torch.full(self.size(), 0, dtype=self.dtype if dtype is None else dtype)

def ones_like(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    return torch.full(self.size(), 1, dtype=self.dtype if dtype is None else dtype)

def empty_like(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    return torch.full(self.size(), 0, dtype=self.dtype if dtype is None else dtype)

def new_full(self: Tensor, size: List[int], fill_value: number, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, fill_value, dtype=self.dtype if dtype is None else dtype)

def new_zeros(self: Tensor, size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 0, dtype=self.dtype if dtype is None else dtype)

def new_ones(self: Tensor, size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 1, dtype=self.dtype if dtype is None else dtype)

def new_empty(self: Tensor, size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 0, dtype=self.dtype if dtype is None else dtype)

def new_empty_strided(self: Tensor, size: List[int], stride: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.full(size, 0, dtype=self.dtype if dtype is None else dtype)

def one_hot(self: Tensor, num_classes: int = -1) -> Tensor:
    n = num_classes
    if num_classes == -1:
        n = torch.Int(self.max()) + 1
    return (self.unsqueeze(-1) == torch.arange(n)).to(4)

def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Optional[int] = 4, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    mask = torch.ones([row, col], dtype=11).tril(offset)
    return mask.nonzero().t().contiguous().to(4 if dtype is None else dtype)

def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Optional[int] = 4, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    mask = torch.ones([row, col], dtype=11).triu(offset)
    return mask.nonzero().t().contiguous().to(4 if dtype is None else dtype)

def hann_window(window_length: int, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    return torch.hann_window(window_length, True, dtype=dtype)

@overload("periodic")
def hann_window(window_length: int, periodic: bool, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    n = window_length if periodic else window_length - 1
    t = torch.arange(window_length, dtype=6 if dtype is None else dtype)
    return 0.5 - 0.5 * torch.cos(t * (2.0 * 3.141592653589793 / n)) if window_length > 1 else torch.ones_like(t)

# ------------------------------------------------------------------ randomness: only where it does nothing

def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    if train and p > 0.0:
        raise NotImplementedError("dropout in training mode is not supported: call eval() before saving the model")
    return input

def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    return torch.dropout(input, p, train)

def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    return torch.dropout(input, p, train)

def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    return torch.dropout(input, p, train)

def native_dropout(input: Tensor, p: float, train: Optional[bool]) -> Tuple[Tensor, Tensor]:
    t = True if train is None else train
    return torch.dropout(input, p, t), torch.ones_like(input, dtype=11)

def _no_random(what: str) -> None:
    raise NotImplementedError(what + " is not supported: random numbers cannot be reproduced")

@overload("float")
def bernoulli(self: Tensor, p: float = 0.5, *, generator: Optional[Any] = None) -> Tensor:
    torch._no_random("bernoulli")
    return self.clone()

def uniform(self: Tensor, _from: float = 0.0, to: float = 1.0, *, generator: Optional[Any] = None) -> Tensor:
    torch._no_random("uniform")
    return self.clone()

def normal(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Optional[Any] = None) -> Tensor:
    torch._no_random("normal")
    return self.clone()

def rand(size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    torch._no_random("rand")
    return torch.zeros(size)

def randn(size: List[int], *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    torch._no_random("randn")
    return torch.zeros(size)

def rand_like(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    torch._no_random("rand_like")
    return self.clone()

def randn_like(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, memory_format: Optional[int] = None) -> Tensor:
    torch._no_random("randn_like")
    return self.clone()

def randint(high: int, size: List[int], *, dtype: Optional[int] = 4, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    torch._no_random("randint")
    return torch.zeros(size, dtype=4)

@overload("low")
def randint(low: int, high: int, size: List[int], *, dtype: Optional[int] = 4, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    torch._no_random("randint")
    return torch.zeros(size, dtype=4)

def randperm(n: int, *, dtype: Optional[int] = 4, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None) -> Tensor:
    torch._no_random("randperm")
    return torch.zeros([n], dtype=4)

def multinomial(self: Tensor, num_samples: int, replacement: bool = False, *, generator: Optional[Any] = None) -> Tensor:
    torch._no_random("multinomial")
    return torch.zeros([num_samples], dtype=4)

def rrelu(self: Tensor, lower: number = 0.125, upper: number = 0.3333333333333333, training: bool = False, generator: Optional[Any] = None) -> Tensor:
    if training:
        torch._no_random("rrelu in training mode")
    return torch.leaky_relu(self, (torch.Float(lower) + torch.Float(upper)) / 2.0)

# ------------------------------------------------------------------ normalisation

def _apply_stats(x: Tensor, mean: Tensor, var: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over channels, as one multiply and one add."""
    n = x.dim()
    a = torch.rsqrt(torch._widen(var) + eps)
    if weight is not None:
        a = a * torch._widen(weight)
    b = -torch._widen(mean) * a
    if bias is not None:
        b = b + torch._widen(bias)
    y = torch._widen(x) * torch._channels(a, n) + torch._channels(b, n)
    return y.to(x.dtype)

def _all_but_channel(rank: int) -> List[int]:
    dims: List[int] = []
    for i in range(rank):
        if i != 1:
            dims.append(i)
    return dims

def _batch_norm_train(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], running_mean: Optional[Tensor], running_var: Optional[Tensor], momentum: float, eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    dims = torch._all_but_channel(input.dim())
    x = torch._widen(input)
    n = torch._prod([input.size(d) for d in dims])
    mean = torch.mean(x, dims)
    centred = x - torch._channels(mean, input.dim())
    var = torch.mean(centred * centred, dims)
    if running_mean is not None:
        running_mean.copy_(running_mean * (1.0 - momentum) + mean * momentum)
    if running_var is not None:
        running_var.copy_(running_var * (1.0 - momentum) + var * (momentum * n / (n - 1)))
    return torch._apply_stats(input, mean, var, weight, bias, eps), mean, torch.rsqrt(var + eps)

def batch_norm(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], running_mean: Optional[Tensor], running_var: Optional[Tensor], training: bool, momentum: float, eps: float, cudnn_enabled: bool) -> Tensor:
    if training or running_mean is None or running_var is None:
        return torch._batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps)[0]
    else:
        return torch._apply_stats(input, running_mean, running_var, weight, bias, eps)

def native_batch_norm(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], running_mean: Optional[Tensor], running_var: Optional[Tensor], training: bool, momentum: float, eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    if training or running_mean is None or running_var is None:
        return torch._batch_norm_train(input, weight, bias, running_mean, running_var, momentum, eps)
    else:
        none = torch.empty([0], dtype=input.dtype)
        return torch._apply_stats(input, running_mean, running_var, weight, bias, eps), none, none

def _native_batch_norm_legit(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], running_mean: Tensor, running_var: Tensor, training: bool, momentum: float, eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    return torch.native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)

@overload("no_stats")
def _native_batch_norm_legit(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], training: bool, momentum: float, eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    return torch._batch_norm_train(input, weight, bias, None, None, momentum, eps)

def _native_batch_norm_legit_no_training(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], running_mean: Tensor, running_var: Tensor, momentum: float, eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    none = torch.empty([0], dtype=input.dtype)
    return torch._apply_stats(input, running_mean, running_var, weight, bias, eps), none, none

def native_layer_norm(input: Tensor, normalized_shape: List[int], weight: Optional[Tensor], bias: Optional[Tensor], eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    n = len(normalized_shape)
    if n == 0 or input.dim() < n or input.size()[input.dim() - n:] != normalized_shape:
        raise RuntimeError("Given normalized_shape={}, expected input with shape [*, {}], but got input of size{}".format(normalized_shape, normalized_shape, input.size()))
    dims = [i - n for i in range(n)]
    x = torch._widen(input)
    mean = torch.mean(x, dims, True)
    centred = x - mean
    rstd = torch.rsqrt(torch.mean(centred * centred, dims, True) + eps)
    y = centred * rstd
    if weight is not None:
        y = y * torch._widen(weight)
    if bias is not None:
        y = y + torch._widen(bias)
    return y.to(input.dtype), mean, rstd

def layer_norm(input: Tensor, normalized_shape: List[int], weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, eps: float = 1e-05, cudnn_enable: bool = True) -> Tensor:
    return torch.native_layer_norm(input, normalized_shape, weight, bias, eps)[0]

def rms_norm(input: Tensor, normalized_shape: List[int], weight: Optional[Tensor] = None, eps: Optional[float] = None) -> Tensor:
    n = len(normalized_shape)
    dims = [i - n for i in range(n)]
    d = input.dtype
    e = 1.1920928955078125e-07
    if d == 7:
        e = 2.220446049250313e-16
    elif d == 5:
        e = 0.0009765625
    elif d == 15:
        e = 0.0078125
    if eps is not None:
        e = eps
    x = torch._widen(input)
    y = x * torch.rsqrt(torch.mean(x * x, dims, True) + e)
    if weight is not None:
        y = y * weight
    return y.to(d)

def native_group_norm(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], N: int, C: int, HxW: int, group: int, eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    if group <= 0 or C % group != 0:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, but got input of shape {} and num_groups={}".format(input.size(), group))
    x = torch._widen(input).reshape([N, group, C // group * torch._prod(input.size()[2:])])
    mean = torch.mean(x, [2], True)
    centred = x - mean
    rstd = torch.rsqrt(torch.mean(centred * centred, [2], True) + eps)
    y = (centred * rstd).reshape(input.size())
    if weight is not None:
        y = y * torch._channels(torch._widen(weight), input.dim())
    if bias is not None:
        y = y + torch._channels(torch._widen(bias), input.dim())
    return y.to(input.dtype), mean.reshape([N, group]), rstd.reshape([N, group])

def group_norm(input: Tensor, num_groups: int, weight: Optional[Tensor] = None, bias: Optional[Tensor] = None, eps: float = 1e-05, cudnn_enabled: bool = True) -> Tensor:
    return torch.native_group_norm(input, weight, bias, input.size(0), input.size(1), 0, num_groups, eps)[0]

def instance_norm(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], running_mean: Optional[Tensor], running_var: Optional[Tensor], use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool) -> Tensor:
    if use_input_stats or running_mean is None or running_var is None:
        dims = [i + 2 for i in range(input.dim() - 2)]
        x = torch._widen(input)
        mean = torch.mean(x, dims, True)
        centred = x - mean
        var = torch.mean(centred * centred, dims, True)
        n = input.numel() // (input.size(0) * input.size(1))
        if running_mean is not None:
            running_mean.copy_(running_mean * (1.0 - momentum) + mean.reshape([input.size(0), -1]).mean([0]) * momentum)
        if running_var is not None:
            running_var.copy_(running_var * (1.0 - momentum) + var.reshape([input.size(0), -1]).mean([0]) * (momentum * n / (n - 1)))
        y = centred * torch.rsqrt(var + eps)
        if weight is not None:
            y = y * torch._channels(torch._widen(weight), input.dim())
        if bias is not None:
            y = y + torch._channels(torch._widen(bias), input.dim())
        return y.to(input.dtype)
    else:
        return torch._apply_stats(input, running_mean, running_var, weight, bias, eps)

def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))

def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    dims: List[int] = []
    for i in range(v.dim()):
        if i != dim:
            dims.append(i)
    return torch.linalg_vector_norm(v, pow, None if dim == -1 else dims, True)

def renorm(self: Tensor, p: number, dim: int, maxnorm: number) -> Tensor:
    d = torch._wrap_dim(dim, self.dim())
    dims: List[int] = []
    for i in range(self.dim()):
        if i != d:
            dims.append(i)
    norm = torch.linalg_vector_norm(self, p, dims, True)
    return self * torch.where(norm > maxnorm, maxnorm / (norm + 1e-07), torch.ones_like(norm))

# ------------------------------------------------------------------ softmax and its family

@overload("int")
def softmax(self: Tensor, dim: int, dtype: Optional[int] = None) -> Tensor:
    d = self.dtype if dtype is None else dtype
    x = torch._widen(self.to(d))
    e = torch.exp(x - torch._amax(x, [dim], True))
    return (e / torch.sum(e, [dim], True)).to(d)

def _softmax(self: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return torch.softmax(self, dim, 6) if half_to_float else torch.softmax(self, dim)

def _safe_softmax(self: Tensor, dim: int, dtype: Optional[int] = None) -> Tensor:
    y = torch.softmax(self, dim, dtype)
    return torch.where(torch._amax(self, [dim], True) == -inf, 0.0, y)

@overload("int")
def log_softmax(self: Tensor, dim: int, dtype: Optional[int] = None) -> Tensor:
    d = self.dtype if dtype is None else dtype
    x = torch._widen(self.to(d))
    c = x - torch._amax(x, [dim], True)
    return (c - torch.log(torch.sum(torch.exp(c), [dim], True))).to(d)

def _log_softmax(self: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return torch.log_softmax(self, dim, 6) if half_to_float else torch.log_softmax(self, dim)

def softmin(self: Tensor, dim: int, dtype: Optional[int] = None) -> Tensor:
    return torch.softmax(-self, dim, dtype)

def logsumexp(self: Tensor, dim: BroadcastingList1[int], keepdim: bool = False) -> Tensor:
    x = torch._widen(self if self.is_floating_point() else self.to(6))
    top = torch._amax(x, dim, True)
    top = torch.where(torch.abs(top) == inf, torch.zeros_like(top), top)
    y = torch.log(torch.sum(torch.exp(x - top), dim, True)) + top
    y = y if keepdim else torch.squeeze(y, dim)
    return y.to(self.dtype) if self.is_floating_point() else y

def special_logsumexp(self: Tensor, dim: BroadcastingList1[int], keepdim: bool = False) -> Tensor:
    return torch.logsumexp(self, dim, keepdim)

# ------------------------------------------------------------------ means, variances, norms

def _count_of(self: Tensor, dim: Optional[List[int]]) -> int:
    n = 1
    if dim is None or len(dim) == 0:
        n = self.numel()
    else:
        for d in dim:
            n = n * self.size(d)
    return n

def _var_mean(self: Tensor, dim: Optional[List[int]], correction: Optional[number], keepdim: bool) -> Tuple[Tensor, Tensor]:
    c = 1.0
    if correction is not None:
        c = torch.Float(correction)
    x = torch._widen(self)
    mean = torch.mean(x, dim, True)
    centred = x - mean
    free = torch.Float(torch._count_of(self, dim)) - c
    if free < 0.0:
        free = 0.0
    var = torch.sum(centred * centred, dim, True) / free
    if not keepdim:
        if dim is None or len(dim) == 0:
            mean = mean.reshape([])
            var = var.reshape([])
        else:
            mean = torch.squeeze(mean, dim)
            var = torch.squeeze(var, dim)
    return var, mean

def var(self: Tensor, unbiased: bool = True) -> Tensor:
    return torch._var_mean(self, None, 1 if unbiased else 0, False)[0].to(self.dtype)

@overload("dim")
def var(self: Tensor, dim: Optional[BroadcastingList1[int]], unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return torch._var_mean(self, dim, 1 if unbiased else 0, keepdim)[0].to(self.dtype)

@overload("correction")
def var(self: Tensor, dim: Optional[BroadcastingList1[int]] = None, *, correction: Optional[number] = None, keepdim: bool = False) -> Tensor:
    return torch._var_mean(self, dim, correction, keepdim)[0].to(self.dtype)

def std(self: Tensor, unbiased: bool = True) -> Tensor:
    return torch.sqrt(torch._var_mean(self, None, 1 if unbiased else 0, False)[0]).to(self.dtype)

@overload("dim")
def std(self: Tensor, dim: Optional[BroadcastingList1[int]], unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return torch.sqrt(torch._var_mean(self, dim, 1 if unbiased else 0, keepdim)[0]).to(self.dtype)

@overload("correction")
def std(self: Tensor, dim: Optional[BroadcastingList1[int]] = None, *, correction: Optional[number] = None, keepdim: bool = False) -> Tensor:
    return torch.sqrt(torch._var_mean(self, dim, correction, keepdim)[0]).to(self.dtype)

def var_mean(self: Tensor, unbiased: bool = True) -> Tuple[Tensor, Tensor]:
    v, m = torch._var_mean(self, None, 1 if unbiased else 0, False)
    return v.to(self.dtype), m.to(self.dtype)

@overload("dim")
def var_mean(self: Tensor, dim: Optional[BroadcastingList1[int]], unbiased: bool = True, keepdim: bool = False) -> Tuple[Tensor, Tensor]:
    v, m = torch._var_mean(self, dim, 1 if unbiased else 0, keepdim)
    return v.to(self.dtype), m.to(self.dtype)

@overload("correction")
def var_mean(self: Tensor, dim: Optional[BroadcastingList1[int]] = None, *, correction: Optional[number] = None, keepdim: bool = False) -> Tuple[Tensor, Tensor]:
    v, m = torch._var_mean(self, dim, correction, keepdim)
    return v.to(self.dtype), m.to(self.dtype)

def std_mean(self: Tensor, unbiased: bool = True) -> Tuple[Tensor, Tensor]:
    v, m = torch._var_mean(self, None, 1 if unbiased else 0, False)
    return torch.sqrt(v).to(self.dtype), m.to(self.dtype)

@overload("dim")
def std_mean(self: Tensor, dim: Optional[BroadcastingList1[int]], unbiased: bool = True, keepdim: bool = False) -> Tuple[Tensor, Tensor]:
    v, m = torch._var_mean(self, dim, 1 if unbiased else 0, keepdim)
    return torch.sqrt(v).to(self.dtype), m.to(self.dtype)

@overload("correction")
def std_mean(self: Tensor, dim: Optional[BroadcastingList1[int]] = None, *, correction: Optional[number] = None, keepdim: bool = False) -> Tuple[Tensor, Tensor]:
    v, m = torch._var_mean(self, dim, correction, keepdim)
    return torch.sqrt(v).to(self.dtype), m.to(self.dtype)

def nanmean(self: Tensor, dim: Optional[BroadcastingList1[int]] = None, keepdim: bool = False, *, dtype: Optional[int] = None) -> Tensor:
    x = self if dtype is None else self.to(dtype)
    return torch.nansum(x, dim, keepdim) / torch.sum(torch.logical_not(torch.isnan(x)).to(x.dtype), dim, keepdim)

def aminmax(self: Tensor, *, dim: Optional[int] = None, keepdim: bool = False) -> Tuple[Tensor, Tensor]:
    if dim is None:
        if keepdim:
            shape = [1 for i in range(self.dim())]
            return self.min().reshape(shape), self.max().reshape(shape)
        else:
            return self.min(), self.max()
    else:
        return torch.amin(self, [dim], keepdim), torch.amax(self, [dim], keepdim)

def linalg_vector_norm(self: Tensor, ord: number = 2, dim: Optional[BroadcastingList1[int]] = None, keepdim: bool = False, *, dtype: Optional[int] = None) -> Tensor:
    d = self.dtype if dtype is None else dtype
    x = torch._widen(self.to(d))
    p = torch.Float(ord)
    dims: List[int] = []
    if dim is not None:
        dims = dim
    if len(dims) == 0:
        dims = [i for i in range(self.dim())]
    a = torch.abs(x)
    if p == inf:
        r = torch.amax(a, dims, keepdim) if len(dims) > 0 else a
    elif p == -inf:
        r = torch.amin(a, dims, keepdim) if len(dims) > 0 else a
    elif p == 0.0:
        r = torch.sum((a != 0).to(x.dtype), dims, keepdim)
    elif p == 1.0:
        r = torch.sum(a, dims, keepdim)
    elif p == 2.0:
        r = torch.sqrt(torch.sum(x * x, dims, keepdim))
    else:
        r = torch.pow(torch.sum(torch.pow(a, p), dims, keepdim), 1.0 / p)
    return r.to(d)

@overload("Scalar")
def norm(self: Tensor, p: number = 2) -> Tensor:
    return torch.linalg_vector_norm(self, p)

@overload("ScalarOpt_dim")
def norm(self: Tensor, p: Optional[number], dim: BroadcastingList1[int], keepdim: bool = False) -> Tensor:
    return torch.linalg_vector_norm(self, 2 if p is None else p, dim, keepdim)

@overload("ScalarOpt_dtype")
def norm(self: Tensor, p: Optional[number], *, dtype: int) -> Tensor:
    return torch.linalg_vector_norm(self, 2 if p is None else p, None, False, dtype=dtype)

@overload("ScalarOpt_dim_dtype")
def norm(self: Tensor, p: Optional[number], dim: BroadcastingList1[int], keepdim: bool, *, dtype: int) -> Tensor:
    return torch.linalg_vector_norm(self, 2 if p is None else p, dim, keepdim, dtype=dtype)

def frobenius_norm(self: Tensor, dim: BroadcastingList1[int], keepdim: bool = False) -> Tensor:
    return torch.linalg_vector_norm(self, 2, dim, keepdim)

def linalg_matrix_norm(self: Tensor, ord: number, dim: List[int] = [-2, -1], keepdim: bool = False, *, dtype: Optional[int] = None) -> Tensor:
    d = self.dtype if dtype is None else dtype
    x = self.to(d)
    p = torch.Float(ord)
    n = self.dim()
    a = torch._wrap_dim(dim[0], n)
    b = torch._wrap_dim(dim[1], n)
    y = torch.abs(x)
    if p == 2.0 or p == -2.0:
        s = torch.linalg_svdvals(torch.movedim(x, [a, b], [-2, -1]))
        r = torch.amax(s, [-1]) if p > 0.0 else torch.amin(s, [-1])
        if keepdim:
            r = r.unsqueeze(a if a < b else b).unsqueeze(b if a < b else a)
    else:
        over = a if p == 1.0 or p == -1.0 else b
        then = b if p == 1.0 or p == -1.0 else a
        if p != 1.0 and p != -1.0 and p != inf and p != -inf:
            raise RuntimeError("linalg.matrix_norm: Order {} not supported.".format(p))
        s = torch.sum(y, [over], True)
        r = torch.amax(s, [then], True) if p > 0.0 else torch.amin(s, [then], True)
        if not keepdim:
            r = torch.squeeze(r, [a, b])
    return r

@overload("str_ord")
def linalg_matrix_norm(self: Tensor, ord: str = "fro", dim: List[int] = [-2, -1], keepdim: bool = False, *, dtype: Optional[int] = None) -> Tensor:
    if ord == "fro":
        return torch.linalg_vector_norm(self, 2, dim, keepdim, dtype=dtype)
    elif ord == "nuc":
        x = self if dtype is None else self.to(dtype)
        n = self.dim()
        a = torch._wrap_dim(dim[0], n)
        b = torch._wrap_dim(dim[1], n)
        r = torch.sum(torch.linalg_svdvals(torch.movedim(x, [a, b], [-2, -1])), [-1])
        return r.unsqueeze(a if a < b else b).unsqueeze(b if a < b else a) if keepdim else r
    else:
        raise RuntimeError("linalg.matrix_norm: Order " + ord + " not supported.")

def linalg_norm(self: Tensor, ord: Optional[number] = None, dim: Optional[BroadcastingList1[int]] = None, keepdim: bool = False, *, dtype: Optional[int] = None) -> Tensor:
    if ord is None:
        if dim is None:
            r = torch.linalg_vector_norm(torch.flatten(self), 2, [0], False, dtype=dtype)
            return r.reshape([1 for i in range(self.dim())]) if keepdim else r
        else:
            return torch.linalg_vector_norm(self, 2, dim, keepdim, dtype=dtype)
    else:
        matrix = False
        if dim is None:
            matrix = self.dim() == 2
        else:
            matrix = len(dim) == 2
        if matrix:
            dims = [-2, -1]
            if dim is not None:
                dims = dim
            return torch.linalg_matrix_norm(self, ord, dims, keepdim, dtype=dtype)
        else:
            return torch.linalg_vector_norm(self, ord, dim, keepdim, dtype=dtype)

@overload("ord_str")
def linalg_norm(self: Tensor, ord: str, dim: Optional[BroadcastingList1[int]] = None, keepdim: bool = False, *, dtype: Optional[int] = None) -> Tensor:
    dims = [-2, -1]
    if dim is not None:
        dims = dim
    return torch.linalg_matrix_norm(self, ord, dims, keepdim, dtype=dtype)

def nuclear_norm(self: Tensor, keepdim: bool = False) -> Tensor:
    return torch.linalg_matrix_norm(self, "nuc", [-2, -1], keepdim)

@overload("dim")
def nuclear_norm(self: Tensor, dim: List[int], keepdim: bool = False) -> Tensor:
    return torch.linalg_matrix_norm(self, "nuc", dim, keepdim)

def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    n = torch.linalg_vector_norm(input, p, [dim], True)
    return input / torch.clamp_min(n, eps).expand_as(input)

def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor:
    xs = torch.broadcast_tensors([x1, x2])
    a = torch.linalg_vector_norm(xs[0], 2, [dim], True)
    b = torch.linalg_vector_norm(xs[1], 2, [dim], True)
    return torch.sum((xs[0] / torch.clamp_min(a, eps)) * (xs[1] / torch.clamp_min(b, eps)), [dim])

def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False) -> Tensor:
    return torch.linalg_vector_norm(x1 - x2 + eps, p, [-1], keepdim)

def dist(self: Tensor, other: Tensor, p: number = 2) -> Tensor:
    return torch.linalg_vector_norm(self - other, p)

def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Optional[int] = None) -> Tensor:
    return torch.linalg_vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, [-1], False)

def pdist(self: Tensor, p: float = 2.0) -> Tensor:
    n = self.size(0)
    at = torch.triu_indices(n, n, 1)
    return torch.linalg_vector_norm(torch.index_select(self, 0, at[0]) - torch.index_select(self, 0, at[1]), p, [-1], False)

def cov(self: Tensor, *, correction: int = 1, fweights: Optional[Tensor] = None, aweights: Optional[Tensor] = None) -> Tensor:
    x = self.unsqueeze(0) if self.dim() < 2 else self
    x = x if x.is_floating_point() else x.to(6)
    n = x.size(1)
    if fweights is None and aweights is None:
        c = x - torch.mean(x, [1], True)
        free = n - correction
        r = torch.mm(c, c.t()) / (free if free > 0 else 0)
    else:
        w = torch.ones([n], dtype=x.dtype)
        if fweights is not None:
            w = w * fweights
        if aweights is not None:
            w = w * aweights
        total = w.sum()
        mean = torch.sum(x * w, [1], True) / total
        c = x - mean
        norm = total
        if correction != 0:
            if aweights is not None:
                norm = total - correction * (w * aweights).sum() / total
            else:
                norm = total - correction
        norm = torch.clamp_min(norm, 0)
        r = torch.mm(c, (c * w).t()) / norm
    return torch.squeeze(r)

def corrcoef(self: Tensor) -> Tensor:
    c = torch.cov(self)
    if c.dim() < 2:
        return c / c
    else:
        s = torch.sqrt(torch.diagonal(c, 0, 0, 1))
        return torch.clamp(c / s.unsqueeze(1) / s.unsqueeze(0), -1, 1)

@overload("scalar")
def quantile(self: Tensor, q: float, dim: Optional[int] = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    return torch._quantile(self, torch.full([1], q, dtype=self.dtype), True, dim, keepdim, interpolation)

def quantile(self: Tensor, q: Tensor, dim: Optional[int] = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    return torch._quantile(self, q.reshape([-1]), q.dim() == 0, dim, keepdim, interpolation)

@overload("scalar")
def nanquantile(self: Tensor, q: float, dim: Optional[int] = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    return torch._quantile(self, torch.full([1], q, dtype=self.dtype), True, dim, keepdim, interpolation, True)

def nanquantile(self: Tensor, q: Tensor, dim: Optional[int] = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    return torch._quantile(self, q.reshape([-1]), q.dim() == 0, dim, keepdim, interpolation, True)

def _quantile(self: Tensor, q: Tensor, single: bool, dim: Optional[int], keepdim: bool, interpolation: str, skip_nan: bool = False) -> Tensor:
    x = torch.flatten(self)
    if dim is not None:
        x = torch.movedim(self, dim, -1) if self.dim() > 0 else x
    s = torch.sort(x, -1)[0]
    bad = torch.isnan(x)
    if skip_nan:
        at = q * torch.clamp_min(torch.sum(torch.logical_not(bad), -1, True) - 1, 0)
    else:
        last = x.size(-1) - 1
        at = torch.where(torch.any(bad, -1, True), last, q * last)
    low = torch.floor(at)
    if interpolation == "lower":
        r = torch.gather(s, -1, low.to(4))
    elif interpolation == "higher":
        r = torch.gather(s, -1, torch.ceil(at).to(4))
    elif interpolation == "nearest":
        r = torch.gather(s, -1, torch.round(at).to(4))
    else:
        w = at - low if interpolation == "linear" else torch.full_like(at, 0.5)
        r = torch.lerp(torch.gather(s, -1, low.to(4)), torch.gather(s, -1, torch.ceil(at).to(4)), w)
    r = torch.movedim(r, -1, 0)
    if keepdim:
        if dim is None:
            r = r.reshape([q.numel()] + [1 for i in range(self.dim())])
        elif self.dim() > 0:
            r = r.unsqueeze(torch._wrap_dim(dim, self.dim()) + 1)
    return torch.squeeze(r, 0) if single else r

# ------------------------------------------------------------------ products

def _times(x: Tensor, factor: number) -> Tensor:
    """x * factor in the dtype of x: integers take the whole part of the factor."""
    return x * factor if x.is_floating_point() else x * torch.Int(factor)

def _add_product(self: Tensor, product: Tensor, beta: number, alpha: number) -> Tensor:
    p = product if alpha == 1 else torch._times(product, alpha)
    if beta == 0:
        return p
    elif beta == 1:
        return self + p
    else:
        return torch._times(self, beta) + p

def addmm(self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: number = 1, alpha: number = 1) -> Tensor:
    return torch._add_product(self, torch.mm(mat1, mat2), beta, alpha)

def addmv(self: Tensor, mat: Tensor, vec: Tensor, *, beta: number = 1, alpha: number = 1) -> Tensor:
    return torch._add_product(self, torch.mv(mat, vec), beta, alpha)

def addr(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: number = 1, alpha: number = 1) -> Tensor:
    p = torch.outer(vec1, vec2)
    if p.dtype == 11:
        return p if beta == 0 else torch.logical_or(self, p)
    else:
        return torch._add_product(self, p, beta, alpha)

def addbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: number = 1, alpha: number = 1) -> Tensor:
    return torch._add_product(self, torch.einsum("bij,bjk->ik", [batch1, batch2]), beta, alpha)

def baddbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: number = 1, alpha: number = 1) -> Tensor:
    return torch._add_product(self, torch.bmm(batch1, batch2), beta, alpha)

def sspaddmm(self: Tensor, mat1: Tensor, mat2: Tensor, *, beta: number = 1, alpha: number = 1) -> Tensor:
    return torch.addmm(self, mat1, mat2, beta=beta, alpha=alpha)

def outer(self: Tensor, vec2: Tensor) -> Tensor:
    return self.unsqueeze(1) * vec2.unsqueeze(0)

def ger(self: Tensor, vec2: Tensor) -> Tensor:
    return torch.outer(self, vec2)

def inner(self: Tensor, other: Tensor) -> Tensor:
    if self.dim() == 0 or other.dim() == 0:
        return self * other
    else:
        return torch.tensordot(self, other, [-1], [-1])

def linalg_vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    return torch.sum(x * y, [dim])

def tensordot(self: Tensor, other: Tensor, dims_self: List[int], dims_other: List[int]) -> Tensor:
    na = self.dim()
    nb = other.dim()
    if len(dims_self) != len(dims_other):
        raise RuntimeError("both dimension lists should have same length")
    a_sum = [torch._wrap_dim(d, na) for d in dims_self]
    b_sum = [torch._wrap_dim(d, nb) for d in dims_other]
    a = self
    b = other
    for i in range(len(a_sum)):
        p = a.size(a_sum[i])
        q = b.size(b_sum[i])
        if p == 1 and q != 1:
            b = torch.sum(b, [b_sum[i]], True)
        elif q == 1 and p != 1:
            a = torch.sum(a, [a_sum[i]], True)
        elif p != q:
            raise RuntimeError("contracted dimensions need to match, but first has size {} in dim {} and second has size {} in dim {}".format(p, a_sum[i], q, b_sum[i]))
    a_keep: List[int] = []
    b_keep: List[int] = []
    shape: List[int] = []
    for i in range(na):
        if i not in a_sum:
            a_keep.append(i)
            shape.append(self.size(i))
    for i in range(nb):
        if i not in b_sum:
            b_keep.append(i)
            shape.append(other.size(i))
    k = 1
    for d in a_sum:
        k = k * a.size(d)
    m = 1
    for d in a_keep:
        m = m * self.size(d)
    n = 1
    for d in b_keep:
        n = n * other.size(d)
    x = a.permute(a_keep + a_sum).reshape([m, k])
    y = b.permute(b_sum + b_keep).reshape([k, n])
    return torch.mm(x, y).reshape(shape)

def kron(self: Tensor, other: Tensor) -> Tensor:
    n = self.dim() if self.dim() > other.dim() else other.dim()
    a: List[int] = []
    b: List[int] = []
    shape: List[int] = []
    for i in range(n):
        p = i - (n - self.dim())
        q = i - (n - other.dim())
        x = self.size(p) if p >= 0 else 1
        y = other.size(q) if q >= 0 else 1
        a.append(x)
        a.append(1)
        b.append(1)
        b.append(y)
        shape.append(x * y)
    return (self.reshape(a) * other.reshape(b)).reshape(shape)

def chain_matmul(matrices: List[Tensor]) -> Tensor:
    return torch.linalg_multi_dot(matrices)

def linalg_multi_dot(tensors: List[Tensor]) -> Tensor:
    x = tensors[0]
    for i in range(len(tensors) - 1):
        x = torch.matmul(x, tensors[i + 1])
    return x

def linalg_matmul(self: Tensor, other: Tensor) -> Tensor:
    return torch.matmul(self, other)

def linalg_matrix_power(self: Tensor, n: int) -> Tensor:
    x = self
    k = n
    if n < 0:
        x = torch.linalg_inv(self)
        k = -n
    r = torch.eye(self.size(-1), dtype=self.dtype).expand(self.size())
    first = True
    while k > 0:
        if k % 2 == 1:
            r = x if first else torch.matmul(r, x)
            first = False
        k = k // 2
        if k > 0:
            x = torch.matmul(x, x)
    return r.clone() if first else r

def matrix_power(self: Tensor, n: int) -> Tensor:
    return torch.linalg_matrix_power(self, n)

def linalg_cross(self: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    xs = torch.broadcast_tensors([self, other])
    a = xs[0]
    b = xs[1]
    if a.size(dim) != 3:
        raise RuntimeError("linalg.cross: inputs dimension {} must have length 3. Got {} and {}".format(dim, self.size(dim), other.size(dim)))
    a1 = torch.roll(a, [-1], [dim])
    a2 = torch.roll(a, [-2], [dim])
    b1 = torch.roll(b, [-1], [dim])
    b2 = torch.roll(b, [-2], [dim])
    return a1 * b2 - a2 * b1

def cross(self: Tensor, other: Tensor, dim: Optional[int] = None) -> Tensor:
    d = -1
    if dim is not None:
        d = dim
    else:
        found = False
        for i in range(self.dim()):
            if self.size(i) == 3 and not found:
                d = i
                found = True
    return torch.linalg_cross(self, other, dim=d)

def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    lead = input1.size()[0:input1.dim() - 1]
    a = input1.reshape([-1, input1.size(-1)])
    b = input2.reshape([-1, input2.size(-1)])
    y = torch.einsum("bi,oij,bj->bo", [a, weight, b]).reshape(lead + [weight.size(0)])
    return y if bias is None else y + bias

def _trilinear(i1: Tensor, i2: Tensor, i3: Tensor, expand1: List[int], expand2: List[int], expand3: List[int], sumdim: List[int], unroll_dim: int = 1) -> Tensor:
    a = i1
    b = i2
    c = i3
    for d in expand1:
        a = a.unsqueeze(d)
    for d in expand2:
        b = b.unsqueeze(d)
    for d in expand3:
        c = c.unsqueeze(d)
    return torch.sum(a * b * c, sumdim)

# ------------------------------------------------------------------ convolution

def _expand_ints(xs: List[int], n: int) -> List[int]:
    return [xs[0] for i in range(n)] if len(xs) == 1 else xs

def _conv(input: Tensor, weight: Tensor, bias: Optional[Tensor], stride: List[int], padding: List[int], dilation: List[int], transposed: bool, output_padding: List[int], groups: int) -> Tensor:
    """convolution that accepts an input without a batch dim."""
    n = weight.dim() - 2
    s = torch._expand_ints(stride, n)
    p = torch._expand_ints(padding, n)
    d = torch._expand_ints(dilation, n)
    o = torch._expand_ints(output_padding, n)
    if input.dim() == n + 1:
        return torch.squeeze(torch.convolution(input.unsqueeze(0), weight, bias, s, p, d, transposed, o, groups), 0)
    else:
        return torch.convolution(input, weight, bias, s, p, d, transposed, o, groups)

def _conv_same(input: Tensor, weight: Tensor, bias: Optional[Tensor], stride: List[int], padding: str, dilation: List[int], groups: int) -> Tensor:
    n = weight.dim() - 2
    d = torch._expand_ints(dilation, n)
    if padding == "valid":
        return torch._conv(input, weight, bias, stride, [0], d, False, [0], groups)
    elif padding == "same":
        for s in stride:
            if s != 1:
                raise RuntimeError("padding='same' is not supported for strided convolutions")
        left: List[int] = []
        extra: List[int] = []
        odd = False
        for i in range(n):
            total = d[i] * (weight.size(i + 2) - 1)
            left.append(total // 2)
            if total % 2 != 0:
                odd = True
        for i in range(n):
            k = n - 1 - i
            extra.append(0)
            extra.append(d[k] * (weight.size(k + 2) - 1) % 2)
        x = torch.constant_pad_nd(input, extra, 0) if odd else input
        return torch._conv(x, weight, bias, stride, left, d, False, [0], groups)
    else:
        raise RuntimeError("Invalid padding string: '" + padding + "'")

def conv1d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList1[int] = 1, padding: BroadcastingList1[int] = 0, dilation: BroadcastingList1[int] = 1, groups: int = 1) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, False, [0], groups)

@overload("padding")
def conv1d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList1[int] = 1, padding: str = "valid", dilation: BroadcastingList1[int] = 1, groups: int = 1) -> Tensor:
    return torch._conv_same(input, weight, bias, stride, padding, dilation, groups)

def conv2d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList2[int] = 1, padding: BroadcastingList2[int] = 0, dilation: BroadcastingList2[int] = 1, groups: int = 1) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, False, [0], groups)

@overload("padding")
def conv2d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList2[int] = 1, padding: str = "valid", dilation: BroadcastingList2[int] = 1, groups: int = 1) -> Tensor:
    return torch._conv_same(input, weight, bias, stride, padding, dilation, groups)

def conv3d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList3[int] = 1, padding: BroadcastingList3[int] = 0, dilation: BroadcastingList3[int] = 1, groups: int = 1) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, False, [0], groups)

@overload("padding")
def conv3d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList3[int] = 1, padding: str = "valid", dilation: BroadcastingList3[int] = 1, groups: int = 1) -> Tensor:
    return torch._conv_same(input, weight, bias, stride, padding, dilation, groups)

def conv_transpose1d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList1[int] = 1, padding: BroadcastingList1[int] = 0, output_padding: BroadcastingList1[int] = 0, groups: int = 1, dilation: BroadcastingList1[int] = 1) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, True, output_padding, groups)

@overload("input")
def conv_transpose2d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList2[int] = 1, padding: BroadcastingList2[int] = 0, output_padding: BroadcastingList2[int] = 0, groups: int = 1, dilation: BroadcastingList2[int] = 1) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, True, output_padding, groups)

@overload("input")
def conv_transpose3d(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: BroadcastingList3[int] = 1, padding: BroadcastingList3[int] = 0, output_padding: BroadcastingList3[int] = 0, groups: int = 1, dilation: BroadcastingList3[int] = 1) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, True, output_padding, groups)

def _convolution(input: Tensor, weight: Tensor, bias: Optional[Tensor], stride: List[int], padding: List[int], dilation: List[int], transposed: bool, output_padding: List[int], groups: int, benchmark: bool, deterministic: bool, cudnn_enabled: bool, allow_tf32: bool) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)

@overload("deprecated")
def _convolution(input: Tensor, weight: Tensor, bias: Optional[Tensor], stride: List[int], padding: List[int], dilation: List[int], transposed: bool, output_padding: List[int], groups: int, benchmark: bool, deterministic: bool, cudnn_enabled: bool) -> Tensor:
    return torch._conv(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)

def _convolution_mode(input: Tensor, weight: Tensor, bias: Optional[Tensor], stride: List[int], padding: str, dilation: List[int], groups: int) -> Tensor:
    return torch._conv_same(input, weight, bias, stride, padding, dilation, groups)

def conv_tbc(self: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    y = torch.conv1d(self.permute([1, 2, 0]), weight.permute([2, 1, 0]), bias, [1], [pad])
    return y.permute([2, 0, 1])

# ------------------------------------------------------------------ resampling

def _scaled_size(n: int, scale: float) -> int:
    """floor(n * scale) as PyTorch computes it, in double; by integers where that is exact."""
    p = int(scale * 1024.0)
    if float(p) != scale * 1024.0:
        return int(n * scale)
    q = 1024
    while p % 2 == 0 and q > 1:
        p = p // 2
        q = q // 2
    return n * p // q

def _resampled_size(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> List[int]:
    n = input.dim() - 2
    if output_size is not None:
        if scale_factors is not None:
            raise RuntimeError("Must specify exactly one of output_size and scale_factors")
        return output_size
    if scale_factors is None:
        raise RuntimeError("Must specify exactly one of output_size and scale_factors")
    if len(scale_factors) != n:
        raise RuntimeError("It is expected scale_factors equals to {}, but got size {}".format(n, len(scale_factors)))
    return [torch._scaled_size(input.size(2 + i), scale_factors[i]) for i in range(n)]

def _scale(scale_factors: Optional[List[float]], i: int) -> Optional[float]:
    return None if scale_factors is None else scale_factors[i]

@overload("vec")
def upsample_nearest1d(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_nearest1d(input, torch._resampled_size(input, output_size, scale_factors), torch._scale(scale_factors, 0))

@overload("vec")
def upsample_nearest2d(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_nearest2d(input, torch._resampled_size(input, output_size, scale_factors), torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

@overload("vec")
def upsample_nearest3d(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_nearest3d(input, torch._resampled_size(input, output_size, scale_factors), torch._scale(scale_factors, 0), torch._scale(scale_factors, 1), torch._scale(scale_factors, 2))

@overload("vec")
def _upsample_nearest_exact1d(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> Tensor:
    return torch._upsample_nearest_exact1d(input, torch._resampled_size(input, output_size, scale_factors), torch._scale(scale_factors, 0))

@overload("vec")
def _upsample_nearest_exact2d(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> Tensor:
    return torch._upsample_nearest_exact2d(input, torch._resampled_size(input, output_size, scale_factors), torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

@overload("vec")
def _upsample_nearest_exact3d(input: Tensor, output_size: Optional[List[int]], scale_factors: Optional[List[float]]) -> Tensor:
    return torch._upsample_nearest_exact3d(input, torch._resampled_size(input, output_size, scale_factors), torch._scale(scale_factors, 0), torch._scale(scale_factors, 1), torch._scale(scale_factors, 2))

@overload("vec")
def upsample_linear1d(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_linear1d(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0))

@overload("vec")
def upsample_bilinear2d(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_bilinear2d(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

@overload("vec")
def upsample_trilinear3d(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_trilinear3d(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0), torch._scale(scale_factors, 1), torch._scale(scale_factors, 2))

@overload("vec")
def upsample_bicubic2d(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch.upsample_bicubic2d(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

@overload("vec")
def _upsample_bilinear2d_aa(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch._upsample_bilinear2d_aa(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

@overload("vec")
def _upsample_bicubic2d_aa(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch._upsample_bicubic2d_aa(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

@overload("vec")
def _upsample_lanczos2d_aa(input: Tensor, output_size: Optional[List[int]], align_corners: bool, scale_factors: Optional[List[float]]) -> Tensor:
    return torch._upsample_lanczos2d_aa(input, torch._resampled_size(input, output_size, scale_factors), align_corners, torch._scale(scale_factors, 0), torch._scale(scale_factors, 1))

# ------------------------------------------------------------------ padding

def pad(self: Tensor, pad: List[int], mode: str = "constant", value: Optional[float] = None) -> Tensor:
    if mode == "constant":
        v = 0.0
        if value is not None:
            v = value
        return torch.constant_pad_nd(self, pad, v)
    elif mode == "reflect":
        return torch._pad_reflect(self, pad)
    elif mode == "replicate":
        return torch._pad_replicate(self, pad)
    elif mode == "circular":
        return torch._pad_circular(self, pad)
    else:
        raise NotImplementedError("Unrecognised padding mode " + mode)

def zero_pad(self: Tensor, pad: List[int]) -> Tensor:
    return torch.constant_pad_nd(self, pad, 0)

# ------------------------------------------------------------------ attention

def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Optional[Tensor] = None, dropout_p: float = 0.0, is_causal: bool = False, *, scale: Optional[float] = None, enable_gqa: bool = False) -> Tensor:
    if dropout_p > 0.0:
        raise NotImplementedError("scaled_dot_product_attention with dropout is not supported")
    k = torch._widen(key)
    v = torch._widen(value)
    q = torch._widen(query)
    if enable_gqa:
        k = torch.repeat_interleave(k, q.size(-3) // k.size(-3), -3)
        v = torch.repeat_interleave(v, q.size(-3) // v.size(-3), -3)
    f = 1.0 / torch.sqrt(torch.Float(q.size(-1)))
    if scale is not None:
        f = scale
    s = torch.matmul(q, k.transpose(-2, -1)) * f
    if is_causal:
        mask = torch.ones([q.size(-2), k.size(-2)], dtype=11).tril(0)
        s = torch.where(mask, s, -inf)
    if attn_mask is not None:
        if attn_mask.dtype == 11:
            s = torch.where(attn_mask, s, -inf)
        else:
            s = s + torch._widen(attn_mask)
        return torch.matmul(torch._safe_softmax(s, -1), v).to(query.dtype)
    else:
        return torch.matmul(torch.softmax(s, -1), v).to(query.dtype)

def _scaled_dot_product_flash_attention_for_cpu(query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0, is_causal: bool = False, *, attn_mask: Optional[Tensor] = None, scale: Optional[float] = None) -> Tuple[Tensor, Tensor]:
    y = torch.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
    return y, torch.empty([0])

def _heads(x: Tensor, n: int) -> Tensor:
    return x.reshape([x.size(0), x.size(1), n, x.size(2) // n]).transpose(1, 2)

def _masked_softmax(self: Tensor, mask: Tensor, dim: Optional[int] = None, mask_type: Optional[int] = None) -> Tensor:
    return torch.softmax(self.masked_fill(mask, -inf), -1 if dim is None else dim)

def _native_multi_head_attention(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_head: int, qkv_weight: Tensor, qkv_bias: Tensor, proj_weight: Tensor, proj_bias: Tensor, mask: Optional[Tensor] = None, need_weights: bool = True, average_attn_weights: bool = True, mask_type: Optional[int] = None) -> Tuple[Tensor, Tensor]:
    w = torch.chunk(qkv_weight, 3, 0)
    b = torch.chunk(qkv_bias, 3, 0)
    q = torch._heads(torch.linear(query, w[0], b[0]), num_head)
    k = torch._heads(torch.linear(key, w[1], b[1]), num_head)
    v = torch._heads(torch.linear(value, w[2], b[2]), num_head)
    s = torch.matmul(q * (1.0 / torch.sqrt(torch.Float(embed_dim // num_head))), k.transpose(-2, -1))
    if mask is not None:
        m = mask
        kind = 2 if mask_type is None else mask_type
        if kind == 1:
            m = mask.reshape([mask.size(0), 1, 1, mask.size(1)])
        s = s.masked_fill(m.to(11), -inf)
    p = torch.softmax(s, -1)
    y = torch.flatten(torch.matmul(p, v).transpose(1, 2), 2, 3)
    out = torch.linear(y, proj_weight, proj_bias)
    if need_weights:
        return out, torch.mean(p, [1]) if average_attn_weights else p
    else:
        return out, torch.empty([0], dtype=out.dtype)

def _transformer_encoder_layer_fwd(src: Tensor, embed_dim: int, num_heads: int, qkv_weight: Tensor, qkv_bias: Tensor, proj_weight: Tensor, proj_bias: Tensor, use_gelu: bool, norm_first: bool, eps: float, norm_weight_1: Tensor, norm_bias_1: Tensor, norm_weight_2: Tensor, norm_bias_2: Tensor, ffn_weight_1: Tensor, ffn_bias_1: Tensor, ffn_weight_2: Tensor, ffn_bias_2: Tensor, mask: Optional[Tensor] = None, mask_type: Optional[int] = None) -> Tensor:
    x = src
    if norm_first:
        x = torch.layer_norm(x, [embed_dim], norm_weight_1, norm_bias_1, eps)
    x = torch._native_multi_head_attention(x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask, False, True, mask_type)[0]
    x = x + src
    if not norm_first:
        x = torch.layer_norm(x, [embed_dim], norm_weight_1, norm_bias_1, eps)
    y = x
    if norm_first:
        y = torch.layer_norm(y, [embed_dim], norm_weight_2, norm_bias_2, eps)
    y = torch.linear(y, ffn_weight_1, ffn_bias_1)
    y = torch.gelu(y) if use_gelu else torch.relu(y)
    y = torch.linear(y, ffn_weight_2, ffn_bias_2)
    y = y + x
    if not norm_first:
        y = torch.layer_norm(y, [embed_dim], norm_weight_2, norm_bias_2, eps)
    return y

# ------------------------------------------------------------------ recurrent nets

def _lstm_gates(gates: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
    g = torch.chunk(gates, 4, 1)
    cy = torch.sigmoid(g[1]) * c + torch.sigmoid(g[0]) * torch.tanh(g[2])
    return torch.sigmoid(g[3]) * torch.tanh(cy), cy

def lstm_cell(input: Tensor, hx: List[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Optional[Tensor] = None, b_hh: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
    return torch._lstm_gates(torch.linear(input, w_ih, b_ih) + torch.linear(hx[0], w_hh, b_hh), hx[1])

def _gru_gates(gi: Tensor, gh: Tensor, h: Tensor) -> Tensor:
    a = torch.chunk(gi, 3, 1)
    b = torch.chunk(gh, 3, 1)
    r = torch.sigmoid(a[0] + b[0])
    z = torch.sigmoid(a[1] + b[1])
    n = torch.tanh(a[2] + r * b[2])
    return (h - n) * z + n

def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Optional[Tensor] = None, b_hh: Optional[Tensor] = None) -> Tensor:
    return torch._gru_gates(torch.linear(input, w_ih, b_ih), torch.linear(hx, w_hh, b_hh), hx)

def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Optional[Tensor] = None, b_hh: Optional[Tensor] = None) -> Tensor:
    return torch.tanh(torch.linear(input, w_ih, b_ih) + torch.linear(hx, w_hh, b_hh))

def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Optional[Tensor] = None, b_hh: Optional[Tensor] = None) -> Tensor:
    return torch.relu(torch.linear(input, w_ih, b_ih) + torch.linear(hx, w_hh, b_hh))

def _rnn_bias(params: List[Tensor], at: int, has_biases: bool) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    a: Optional[Tensor] = None
    b: Optional[Tensor] = None
    if has_biases:
        a = params[at + 2]
        b = params[at + 3]
    return a, b

def _lstm_layer(x: Tensor, h: Tensor, c: Tensor, params: List[Tensor], at: int, has_biases: bool, backwards: bool, projects: bool) -> Tuple[Tensor, Tensor, Tensor]:
    """One direction of one layer over x[time, batch, feature]; params[at...]: w_ih, w_hh, b_ih, b_hh (, w_hr)."""
    b_ih, b_hh = torch._rnn_bias(params, at, has_biases)
    gi = torch.linear(x, params[at], b_ih)
    n = x.size(0)
    ys: List[Tensor] = []
    for t in range(n):
        k = n - 1 - t if backwards else t
        h, c = torch._lstm_gates(gi[k] + torch.linear(h, params[at + 1], b_hh), c)
        if projects:
            h = torch.linear(h, params[at + (4 if has_biases else 2)])
        ys.append(h)
    if backwards:
        ys.reverse()
    return torch.stack(ys, 0), h, c

def _gru_layer(x: Tensor, h: Tensor, params: List[Tensor], at: int, has_biases: bool, backwards: bool) -> Tuple[Tensor, Tensor]:
    b_ih, b_hh = torch._rnn_bias(params, at, has_biases)
    gi = torch.linear(x, params[at], b_ih)
    n = x.size(0)
    ys: List[Tensor] = []
    for t in range(n):
        k = n - 1 - t if backwards else t
        h = torch._gru_gates(gi[k], torch.linear(h, params[at + 1], b_hh), h)
        ys.append(h)
    if backwards:
        ys.reverse()
    return torch.stack(ys, 0), h

def _rnn_layer(x: Tensor, h: Tensor, params: List[Tensor], at: int, has_biases: bool, backwards: bool, relu: bool) -> Tuple[Tensor, Tensor]:
    b_ih, b_hh = torch._rnn_bias(params, at, has_biases)
    gi = torch.linear(x, params[at], b_ih)
    n = x.size(0)
    ys: List[Tensor] = []
    for t in range(n):
        k = n - 1 - t if backwards else t
        z = gi[k] + torch.linear(h, params[at + 1], b_hh)
        h = torch.relu(z) if relu else torch.tanh(z)
        ys.append(h)
    if backwards:
        ys.reverse()
    return torch.stack(ys, 0), h

def _no_rnn_dropout(dropout: float, train: bool) -> None:
    if train and dropout > 0.0:
        raise NotImplementedError("dropout in training mode is not supported: call eval() before saving the model")

@overload("input")
def lstm(input: Tensor, hx: List[Tensor], params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool) -> Tuple[Tensor, Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    dirs = 2 if bidirectional else 1
    each = len(params) // (dirs * num_layers)
    projects = each == (5 if has_biases else 3)
    x = input.transpose(0, 1) if batch_first else input
    hs: List[Tensor] = []
    cs: List[Tensor] = []
    for layer in range(num_layers):
        outs: List[Tensor] = []
        for d in range(dirs):
            i = layer * dirs + d
            y, h, c = torch._lstm_layer(x, hx[0][i], hx[1][i], params, i * each, has_biases, d == 1, projects)
            outs.append(y)
            hs.append(h)
            cs.append(c)
        x = torch.cat(outs, 2) if dirs == 2 else outs[0]
    y = x.transpose(0, 1) if batch_first else x
    return y, torch.stack(hs, 0), torch.stack(cs, 0)

@overload("input")
def gru(input: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool) -> Tuple[Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    each = 4 if has_biases else 2
    dirs = 2 if bidirectional else 1
    x = input.transpose(0, 1) if batch_first else input
    hs: List[Tensor] = []
    for layer in range(num_layers):
        outs: List[Tensor] = []
        for d in range(dirs):
            i = layer * dirs + d
            y, h = torch._gru_layer(x, hx[i], params, i * each, has_biases, d == 1)
            outs.append(y)
            hs.append(h)
        x = torch.cat(outs, 2) if dirs == 2 else outs[0]
    y = x.transpose(0, 1) if batch_first else x
    return y, torch.stack(hs, 0)

def _rnn(input: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool, relu: bool) -> Tuple[Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    each = 4 if has_biases else 2
    dirs = 2 if bidirectional else 1
    x = input.transpose(0, 1) if batch_first else input
    hs: List[Tensor] = []
    for layer in range(num_layers):
        outs: List[Tensor] = []
        for d in range(dirs):
            i = layer * dirs + d
            y, h = torch._rnn_layer(x, hx[i], params, i * each, has_biases, d == 1, relu)
            outs.append(y)
            hs.append(h)
        x = torch.cat(outs, 2) if dirs == 2 else outs[0]
    y = x.transpose(0, 1) if batch_first else x
    return y, torch.stack(hs, 0)

@overload("input")
def rnn_tanh(input: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool) -> Tuple[Tensor, Tensor]:
    return torch._rnn(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first, False)

@overload("input")
def rnn_relu(input: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool) -> Tuple[Tensor, Tensor]:
    return torch._rnn(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first, True)

def _unpack_sequence(data: Tensor, batch_sizes: Tensor) -> List[Tensor]:
    out: List[Tensor] = []
    at = 0
    for i in range(batch_sizes.size(0)):
        n = torch.Int(batch_sizes[i])
        out.append(torch.slice(data, 0, at, at + n, 1))
        at = at + n
    return out

def _packed_steps(xs: List[Tensor], h: Tensor, c: Tensor, params: List[Tensor], at: int, has_biases: bool, backwards: bool, kind: int) -> Tuple[List[Tensor], Tensor, Tensor]:
    """Steps of shrinking batches; kind: 0 lstm, 1 gru, 2 tanh, 3 relu.  h and c keep the rows of sequences that ended."""
    b_ih, b_hh = torch._rnn_bias(params, at, has_biases)
    ys: List[Tensor] = []
    n = len(xs)
    for t in range(n):
        x = xs[n - 1 - t if backwards else t]
        k = x.size(0)
        hk = torch.slice(h, 0, 0, k, 1)
        ck = torch.slice(c, 0, 0, k, 1)
        gi = torch.linear(x, params[at], b_ih)
        gh = torch.linear(hk, params[at + 1], b_hh)
        if kind == 0:
            hk, ck = torch._lstm_gates(gi + gh, ck)
        elif kind == 1:
            hk = torch._gru_gates(gi, gh, hk)
        elif kind == 2:
            hk = torch.tanh(gi + gh)
        else:
            hk = torch.relu(gi + gh)
        h = torch.cat([hk, torch.slice(h, 0, k, h.size(0), 1)], 0)
        c = torch.cat([ck, torch.slice(c, 0, k, c.size(0), 1)], 0)
        ys.append(hk)
    if backwards:
        ys.reverse()
    return ys, h, c

def _packed_rnn(data: Tensor, batch_sizes: Tensor, h0: Tensor, c0: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, bidirectional: bool, kind: int) -> Tuple[Tensor, Tensor, Tensor]:
    each = 4 if has_biases else 2
    dirs = 2 if bidirectional else 1
    if len(params) != each * dirs * num_layers:
        raise NotImplementedError("LSTM with projections over packed sequences is not supported")
    x = data
    hs: List[Tensor] = []
    cs: List[Tensor] = []
    for layer in range(num_layers):
        outs: List[Tensor] = []
        for d in range(dirs):
            i = layer * dirs + d
            ys, h, c = torch._packed_steps(torch._unpack_sequence(x, batch_sizes), h0[i], c0[i], params, i * each, has_biases, d == 1, kind)
            outs.append(torch.cat(ys, 0))
            hs.append(h)
            cs.append(c)
        x = torch.cat(outs, 1) if dirs == 2 else outs[0]
    return x, torch.stack(hs, 0), torch.stack(cs, 0)

@overload("data")
def lstm(data: Tensor, batch_sizes: Tensor, hx: List[Tensor], params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool) -> Tuple[Tensor, Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    return torch._packed_rnn(data, batch_sizes, hx[0], hx[1], params, has_biases, num_layers, bidirectional, 0)

@overload("data")
def gru(data: Tensor, batch_sizes: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool) -> Tuple[Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    y, h, c = torch._packed_rnn(data, batch_sizes, hx, hx, params, has_biases, num_layers, bidirectional, 1)
    return y, h

@overload("data")
def rnn_tanh(data: Tensor, batch_sizes: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool) -> Tuple[Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    y, h, c = torch._packed_rnn(data, batch_sizes, hx, hx, params, has_biases, num_layers, bidirectional, 2)
    return y, h

@overload("data")
def rnn_relu(data: Tensor, batch_sizes: Tensor, hx: Tensor, params: List[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool, bidirectional: bool) -> Tuple[Tensor, Tensor]:
    torch._no_rnn_dropout(dropout, train)
    y, h, c = torch._packed_rnn(data, batch_sizes, hx, hx, params, has_biases, num_layers, bidirectional, 3)
    return y, h

def _pack_padded_sequence(input: Tensor, lengths: Tensor, batch_first: bool) -> Tuple[Tensor, Tensor]:
    x = input.transpose(0, 1) if batch_first else input
    rows: List[Tensor] = []
    sizes: List[int] = []
    longest = torch.Int(lengths[0])
    for t in range(longest):
        n = torch.Int((lengths > t).sum())
        rows.append(torch.slice(x[t], 0, 0, n, 1))
        sizes.append(n)
    return torch.cat(rows, 0), torch.tensor(sizes, dtype=4)

def _pad_packed_sequence(data: Tensor, batch_sizes: Tensor, batch_first: bool, padding_value: number, total_length: int) -> Tuple[Tensor, Tensor]:
    steps = torch._unpack_sequence(data, batch_sizes)
    batch = steps[0].size(0)
    rows: List[Tensor] = []
    lengths = torch.zeros([batch], dtype=4)
    for s in steps:
        n = s.size(0)
        rest = torch.full([batch - n] + data.size()[1:], padding_value, dtype=data.dtype)
        rows.append(torch.cat([s, rest], 0))
        lengths = lengths + (torch.arange(batch) < n).to(4)
    for i in range(total_length - len(steps)):
        rows.append(torch.full([batch] + data.size()[1:], padding_value, dtype=data.dtype))
    y = torch.stack(rows, 0)
    return y.transpose(0, 1) if batch_first else y, lengths

# ------------------------------------------------------------------ losses

def mse_loss(self: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    d = self - target
    return torch._reduce_loss(d * d, reduction)

def l1_loss(self: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    return torch._reduce_loss(torch.abs(self - target), reduction)

def smooth_l1_loss(self: Tensor, target: Tensor, reduction: int = 1, beta: float = 1.0) -> Tensor:
    d = torch.abs(self - target)
    if beta <= 0.0:
        return torch._reduce_loss(d, reduction)
    else:
        return torch._reduce_loss(torch.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta), reduction)

def huber_loss(self: Tensor, target: Tensor, reduction: int = 1, delta: float = 1.0) -> Tensor:
    d = torch.abs(self - target)
    return torch._reduce_loss(torch.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)

def binary_cross_entropy(self: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1) -> Tensor:
    a = torch.clamp_min(torch.log(self), -100)
    b = torch.clamp_min(torch.log1p(-self), -100)
    loss = (target - 1) * b - target * a
    if weight is not None:
        loss = loss * weight
    return torch._reduce_loss(loss, reduction)

def binary_cross_entropy_with_logits(self: Tensor, target: Tensor, weight: Optional[Tensor] = None, pos_weight: Optional[Tensor] = None, reduction: int = 1) -> Tensor:
    s = torch.log_sigmoid(self)
    if pos_weight is not None:
        w = (pos_weight - 1) * target + 1
        loss = (1 - target) * self - w * s
    else:
        loss = (1 - target) * self - s
    if weight is not None:
        loss = loss * weight
    return torch._reduce_loss(loss, reduction)

def kl_div(self: Tensor, target: Tensor, reduction: int = 1, *, log_target: bool = False) -> Tensor:
    loss = torch.exp(target) * (target - self) if log_target else torch.xlogy(target, target) - target * self
    return torch._reduce_loss(loss, reduction)

def soft_margin_loss(self: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    return torch._reduce_loss(torch.log1p(torch.exp(-target * self)), reduction)

def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1) -> Tensor:
    return torch._reduce_loss(torch.clamp_min(-target * (input1 - input2) + margin, 0), reduction)

def hinge_embedding_loss(self: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 1) -> Tensor:
    zero = torch.zeros_like(self)
    a = torch.where(target != 1, torch.clamp_min(margin - self, 0), zero)
    b = torch.where(target != -1, self, zero)
    return torch._reduce_loss(a + b, reduction)

def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1) -> Tensor:
    eps = 1e-12
    c = torch.sum(input1 * input2, [-1]) / torch.sqrt((torch.sum(input1 * input1, [-1]) + eps) * (torch.sum(input2 * input2, [-1]) + eps))
    zero = torch.zeros_like(c)
    loss = torch.where(target == 1, 1 - c, zero) + torch.where(target == -1, torch.clamp_min(c - margin, 0), zero)
    return torch._reduce_loss(loss, reduction)

def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0, eps: float = 1e-06, swap: bool = False, reduction: int = 1) -> Tensor:
    a = torch.pairwise_distance(anchor, positive, p, eps)
    b = torch.pairwise_distance(anchor, negative, p, eps)
    if swap:
        b = torch.minimum(b, torch.pairwise_distance(positive, negative, p, eps))
    return torch._reduce_loss(torch.clamp_min(margin + a - b, 0), reduction)

def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1) -> Tensor:
    loss = -(target * torch.log_sigmoid(input) + (1 - target) * torch.log_sigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return torch._reduce_loss(torch.mean(loss, [-1]), reduction)

def multi_margin_loss(self: Tensor, target: Tensor, p: number = 1, margin: number = 1, weight: Optional[Tensor] = None, reduction: int = 1) -> Tensor:
    x = self.reshape([1, -1]) if self.dim() < 2 else self
    at = target.reshape([-1, 1])
    d = torch.clamp_min(margin - torch.gather(x, 1, at) + x, 0)
    if float(p) == 2.0:
        d = d * d
    if weight is not None:
        d = d * torch.index_select(weight, 0, at.reshape([-1])).reshape([-1, 1])
    own = torch.arange(x.size(1)).reshape([1, -1]) == at
    loss = torch.sum(torch.where(own, torch.zeros_like(d), d), [1]) / x.size(1)
    return torch._reduce_loss(loss.reshape(target.size()), reduction)

def multilabel_margin_loss(self: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    x = self.reshape([1, -1]) if self.dim() < 2 else self
    t = target.reshape([1, -1]) if self.dim() < 2 else target
    ended = torch.cumsum((t < 0).to(4), 1) > 0
    at = torch.where(ended, torch.zeros_like(t), t)
    labels = torch.zeros_like(t).scatter_add(1, at, (~ended).to(4)) > 0
    d = torch.clamp_min(1 - torch.gather(x, 1, at).unsqueeze(2) + x.unsqueeze(1), 0)
    count = torch.logical_and(~ended.unsqueeze(2), ~labels.unsqueeze(1))
    loss = torch.sum(torch.where(count, d, torch.zeros_like(d)), [1, 2]) / x.size(1)
    return torch._reduce_loss(loss.reshape(self.size()[:self.dim() - 1]), reduction)

def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    loss = torch.exp(input) - target * input if log_input else input - target * torch.log(input + eps)
    if full:
        s = target * torch.log(target) - target + 0.5 * torch.log(2 * 3.141592653589793 * target)
        loss = loss + torch.where(target <= 1, torch.zeros_like(s), s)
    return torch._reduce_loss(loss, reduction)

def _nll(self: Tensor, target: Tensor, weight: Optional[Tensor], reduction: int, ignore_index: int) -> Tuple[Tensor, Tensor]:
    """Classes along dim 1 of self (dim 0 if self is a vector)."""
    d = 0 if self.dim() == 1 else 1
    keep = target != ignore_index
    at = torch.where(keep, target, torch.zeros_like(target)).unsqueeze(d)
    picked = torch.squeeze(torch.gather(self, d, at), d)
    w = keep.to(self.dtype)
    if weight is not None:
        w = w * torch.index_select(weight, 0, torch.flatten(torch.squeeze(at, d))).reshape(target.size())
    zero = torch.zeros_like(picked)
    loss = torch.where(keep, -picked * w, zero)
    total = w.sum()
    if reduction == 1:
        return loss.sum() / total, total
    elif reduction == 2:
        return loss.sum(), total
    else:
        return loss, total

def nll_loss(self: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1, ignore_index: int = -100) -> Tensor:
    return torch._nll(self, target, weight, reduction, ignore_index)[0]

def nll_loss2d(self: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1, ignore_index: int = -100) -> Tensor:
    return torch._nll(self, target, weight, reduction, ignore_index)[0]

def nll_loss_nd(self: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1, ignore_index: int = -100) -> Tensor:
    return torch._nll(self, target, weight, reduction, ignore_index)[0]

def nll_loss_forward(self: Tensor, target: Tensor, weight: Optional[Tensor], reduction: int, ignore_index: int) -> Tuple[Tensor, Tensor]:
    return torch._nll(self, target, weight, reduction, ignore_index)

def cross_entropy_loss(self: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0) -> Tensor:
    d = 0 if self.dim() == 1 else 1
    classes = self.size(d)
    lp = torch.log_softmax(self, d)
    if target.dim() == self.dim() and target.is_floating_point():
        t = target
        if label_smoothing > 0.0:
            t = target * (1.0 - label_smoothing) + label_smoothing / classes
        x = lp
        if weight is not None:
            shape = [1 for i in range(self.dim())]
            shape[d] = classes
            x = lp * weight.reshape(shape)
        loss = -torch.sum(x * t, [d])
        if reduction == 1:
            n = self.numel() // classes
            return loss.sum() / n
        else:
            return torch._reduce_loss(loss, reduction)
    else:
        r = torch._nll(lp, target, weight, reduction, ignore_index)
        if label_smoothing > 0.0:
            x = lp
            if weight is not None:
                shape = [1 for i in range(self.dim())]
                shape[d] = classes
                x = lp * weight.reshape(shape)
            keep = target != ignore_index
            s = torch.where(keep, -torch.sum(x, [d]), 0.0)
            if reduction == 1:
                s = s.sum() / (r[1] if weight is not None else keep.to(self.dtype).sum())
            elif reduction == 2:
                s = s.sum()
            return r[0] * (1.0 - label_smoothing) + s * (label_smoothing / classes)
        else:
            return r[0]

def cross_entropy(input: Tensor, target: Tensor, weight: Optional[Tensor] = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0) -> Tensor:
    return torch.cross_entropy_loss(input, target, weight, reduction, ignore_index, label_smoothing)

# ------------------------------------------------------------------ pointwise compositions

def glu(self: Tensor, dim: int = -1) -> Tensor:
    if self.size(dim) % 2 != 0:
        raise RuntimeError("Halving dimension must be even, but dimension {} is size {}".format(dim, self.size(dim)))
    h = self.size(dim) // 2
    return torch.slice(self, dim, 0, h, 1) * torch.sigmoid(torch.slice(self, dim, h, 2 * h, 1))

def prelu(self: Tensor, weight: Tensor) -> Tensor:
    w = weight
    if weight.numel() != 1 and self.dim() > 1:
        w = torch._channels(weight, self.dim())
    elif weight.dim() > 0 and self.dim() != 1:
        w = weight.reshape([1 for i in range(self.dim())])
    return torch.where(self > 0, self, w * self)

def _prelu_kernel(self: Tensor, weight: Tensor) -> Tensor:
    return torch.where(self > 0, self, weight * self)

def softsign(self: Tensor) -> Tensor:
    return self / (1 + torch.abs(self))

def tanhshrink(self: Tensor) -> Tensor:
    return self - torch.tanh(self)

def square(self: Tensor) -> Tensor:
    return torch.pow(self, 2)

@overload("Tensor")
def ldexp(self: Tensor, other: Tensor) -> Tensor:
    exact = self.is_floating_point() and not other.is_floating_point()
    return self * torch.pow(2.0, other.to(self.dtype) if exact else other)

@overload("Tensor_Tensor")
def float_power(self: Tensor, exponent: Tensor) -> Tensor:
    return torch.pow(self.to(7), exponent.to(7))

@overload("Tensor_Scalar")
def float_power(self: Tensor, exponent: number) -> Tensor:
    return torch.pow(self.to(7), exponent)

@overload("Scalar")
def float_power(self: number, exponent: Tensor) -> Tensor:
    return torch.pow(self, exponent.to(7))

def special_ndtr(self: Tensor) -> Tensor:
    return 0.5 * torch.erfc(self * -0.7071067811865476)

def special_log_ndtr(self: Tensor) -> Tensor:
    x = self if self.is_floating_point() else self.to(6)
    t = x * 0.7071067811865476
    far = torch.log(0.5 * torch.special_erfcx(-torch.clamp_max(t, -0.5))) - t * t
    return torch.where(x < -1.0, far, torch.log1p(-0.5 * torch.erfc(t)))

def logsigmoid(self: Tensor) -> Tensor:
    return torch.log_sigmoid(self)

def logit(self: Tensor, eps: Optional[float] = None) -> Tensor:
    x = self if self.is_floating_point() else self.to(6)
    if eps is not None:
        x = torch.where(x < eps, eps, torch.where(x > 1.0 - eps, 1.0 - eps, x))
    return torch.log(x / (1 - x))

def special_logit(self: Tensor, eps: Optional[float] = None) -> Tensor:
    return torch.logit(self, eps)

def expit(self: Tensor) -> Tensor:
    return torch.sigmoid(self)

def special_expit(self: Tensor) -> Tensor:
    return torch.sigmoid(self)

def deg2rad(self: Tensor) -> Tensor:
    return self * 0.017453292519943295

def rad2deg(self: Tensor) -> Tensor:
    return self * 57.29577951308232

def zero(self: Tensor) -> Tensor:
    return torch.zeros_like(self)

def isreal(self: Tensor) -> Tensor:
    return torch.ones_like(self, dtype=11)

def isclose(self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    close = self == other
    if equal_nan and self.is_floating_point():
        close = torch.logical_or(close, torch.logical_and(self != self, other != other))
    if rtol == 0.0 and atol == 0.0:
        return close
    else:
        x = self if self.is_floating_point() else self.to(6)
        y = other if other.is_floating_point() else other.to(6)
        error = torch.abs(x - y)
        near = torch.logical_and(torch.isfinite(error), error <= atol + torch.abs(rtol * y))
        return torch.logical_or(close, near)

def allclose(self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    return torch.Bool(torch.all(torch.isclose(self, other, rtol, atol, equal_nan)))

def equal(self: Tensor, other: Tensor) -> bool:
    if self.size() != other.size():
        return False
    else:
        return torch.Bool(torch.all(self == other))

@overload("Tensor_Tensor")
def isin(elements: Tensor, test_elements: Tensor, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    hit = torch.any(elements.unsqueeze(-1) == torch.flatten(test_elements), -1)
    return torch.logical_not(hit) if invert else hit

@overload("Tensor_Scalar")
def isin(elements: Tensor, test_element: number, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    return elements != test_element if invert else elements == test_element

@overload("Scalar_Tensor")
def isin(element: number, test_elements: Tensor, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    hit = torch.any(test_elements == element)
    return torch.logical_not(hit) if invert else hit

def _gcd(x: Tensor, y: Tensor) -> Tensor:
    xs = torch.broadcast_tensors([torch.abs(x), torch.abs(y)])
    a = xs[0]
    b = xs[1]
    while torch.Bool(torch.any(b != 0)):
        done = b == 0
        r = torch.remainder(a, torch.where(done, torch.ones_like(b), b))
        a = torch.where(done, a, b)
        b = torch.where(done, b, r)
    return a.clone()

def gcd(self: Tensor, other: Tensor) -> Tensor:
    d = (self + other).dtype
    return torch._gcd(self.to(d), other.to(d))

def lcm(self: Tensor, other: Tensor) -> Tensor:
    d = (self + other).dtype
    x = self.to(d)
    y = other.to(d)
    g = torch._gcd(x, y)
    zero = g == 0
    q = torch.div(x, torch.where(zero, torch.ones_like(g), g), rounding_mode="trunc")
    if d == 0 or d == 1 or d == 2:  # C's arithmetic: the product is an int
        return torch.where(zero, torch.zeros_like(g), torch.abs(q.to(3) * y.to(3)).to(d))
    return torch.where(zero, torch.zeros_like(g), torch.abs(q * y))

def _chebyshev(x: Tensor, coefficients: List[float]) -> Tensor:
    b0 = torch.full_like(x, coefficients[0])
    b1 = torch.zeros_like(x)
    b2 = torch.zeros_like(x)
    for i in range(len(coefficients) - 1):
        b2 = b1
        b1 = b0
        b0 = x * b1 - b2 + coefficients[i + 1]
    return 0.5 * (b0 - b2)

def special_i0e(self: Tensor) -> Tensor:
    a = torch.abs(self if self.is_floating_point() else self.to(6))
    near = torch._chebyshev(a / 2.0 - 2.0, [-4.41534164647933937950e-18, 3.33079451882223809783e-17, -2.43127984654795469359e-16, 1.71539128555513303061e-15, -1.16853328779934516808e-14, 7.67618549860493561688e-14, -4.85644678311192946090e-13, 2.95505266312963983461e-12, -1.72682629144155570723e-11, 9.67580903537323691224e-11, -5.18979560163526290666e-10, 2.65982372468238665035e-09, -1.30002500998624804212e-08, 6.04699502254191894932e-08, -2.67079385394061173391e-07, 1.11738753912010371815e-06, -4.41673835845875056359e-06, 1.64484480707288970893e-05, -5.75419501008210370398e-05, 1.88502885095841655729e-04, -5.76375574538582365885e-04, 1.63947561694133579842e-03, -4.32430999505057594430e-03, 1.05464603945949983183e-02, -2.37374148058994688156e-02, 4.93052842396707084878e-02, -9.49010970480476444210e-02, 1.71620901522208775349e-01, -3.04682672343198398683e-01, 6.76795274409476084995e-01])
    far = torch._chebyshev(32.0 / torch.clamp_min(a, 8.0) - 2.0, [-7.23318048787475395456e-18, -4.83050448594418207126e-18, 4.46562142029675999901e-17, 3.46122286769746109310e-17, -2.82762398051658348494e-16, -3.42548561967721913462e-16, 1.77256013305652638360e-15, 3.81168066935262242075e-15, -9.55484669882830764870e-15, -4.15056934728722208663e-14, 1.54008621752140982691e-14, 3.85277838274214270114e-13, 7.18012445138366623367e-13, -1.79417853150680611778e-12, -1.32158118404477131188e-11, -3.14991652796324136454e-11, 1.18891471078464383424e-11, 4.94060238822496958910e-10, 3.39623202570838634515e-09, 2.26666899049817806459e-08, 2.04891858946906374183e-07, 2.89137052083475648297e-06, 6.88975834691682398426e-05, 3.36911647825569408990e-03, 8.04490411014108831608e-01])
    return torch.where(a <= 8.0, near, far / torch.sqrt(torch.clamp_min(a, 8.0)))

def i0(self: Tensor) -> Tensor:
    x = self if self.is_floating_point() else self.to(6)
    return torch.exp(torch.abs(x)) * torch.special_i0e(x)

def special_i0(self: Tensor) -> Tensor:
    return torch.i0(self)

def special_erfcx(self: Tensor) -> Tensor:
    x = self if self.is_floating_point() else self.to(6)
    y = x.to(7)
    # continued fraction beyond 2, the definition below
    t = torch.clamp_min(y, 2.0)
    f = t
    for i in range(60):
        f = t + torch.true_divide(torch.full_like(t, (60 - i) / 2.0), f)
    far = 0.5641895835477563 / f
    near = torch.exp(torch.clamp_max(y, 2.0) * torch.clamp_max(y, 2.0)) * torch.erfc(torch.clamp_max(y, 2.0))
    return torch.where(y > 2.0, far, near).to(x.dtype)

# ------------------------------------------------------------------ differences and sums along a dim

def diff(self: Tensor, n: int = 1, dim: int = -1, prepend: Optional[Tensor] = None, append: Optional[Tensor] = None) -> Tensor:
    parts: List[Tensor] = []
    if prepend is not None:
        parts.append(prepend)
    parts.append(self)
    if append is not None:
        parts.append(append)
    if n == 0:
        return self.clone()
    x = torch.cat(parts, dim) if len(parts) > 1 else self
    for i in range(n):
        k = x.size(dim)
        if k > 0:
            a = torch.slice(x, dim, 1, k, 1)
            b = torch.slice(x, dim, 0, k - 1, 1)
            x = torch.logical_xor(a, b) if x.dtype == 11 else a - b
    return x

@overload("x")
def trapezoid(y: Tensor, x: Tensor, *, dim: int = -1) -> Tensor:
    n = y.size(dim)
    d = torch._wrap_dim(dim, y.dim())
    w = x
    if x.dim() == 1 and y.dim() > 1:
        shape = [1 for i in range(y.dim())]
        shape[d] = x.size(0)
        w = x.reshape(shape)
    elif x.dim() < y.dim():
        w = x.reshape([1 for i in range(y.dim() - x.dim())] + x.size())
    m = w.size(d)
    dx = torch.slice(w, d, 1, m, 1) - torch.slice(w, d, 0, m - 1, 1)
    return torch.sum((torch.slice(y, d, 1, n, 1) + torch.slice(y, d, 0, n - 1, 1)) * dx, [d]) / 2.0

@overload("dx")
def trapezoid(y: Tensor, *, dx: number = 1, dim: int = -1) -> Tensor:
    n = y.size(dim)
    return (torch.sum(y, [dim]) - (torch.select(y, dim, 0) + torch.select(y, dim, n - 1)) * 0.5) * dx if n > 0 else torch.sum(y, [dim])

@overload("x")
def trapz(y: Tensor, x: Tensor, *, dim: int = -1) -> Tensor:
    return torch.trapezoid(y, x, dim=dim)

@overload("dx")
def trapz(y: Tensor, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    return torch.trapezoid(y, dx=dx, dim=dim)

@overload("dx")
def cumulative_trapezoid(y: Tensor, *, dx: number = 1, dim: int = -1) -> Tensor:
    n = y.size(dim)
    return torch.cumsum(torch.slice(y, dim, 1, n, 1) + torch.slice(y, dim, 0, n - 1, 1), dim) * (dx / 2.0)

@overload("x")
def cumulative_trapezoid(y: Tensor, x: Tensor, *, dim: int = -1) -> Tensor:
    n = y.size(dim)
    m = x.size(-1) if x.dim() == 1 else x.size(dim)
    k = -1 if x.dim() == 1 else dim
    dx = torch.slice(x, k, 1, m, 1) - torch.slice(x, k, 0, m - 1, 1)
    if x.dim() == 1 and y.dim() > 1:
        shape = [1 for i in range(y.dim())]
        shape[torch._wrap_dim(dim, y.dim())] = m - 1
        dx = dx.reshape(shape)
    return torch.cumsum((torch.slice(y, dim, 1, n, 1) + torch.slice(y, dim, 0, n - 1, 1)) * dx, dim) / 2.0

# ------------------------------------------------------------------ choosing and counting

def nonzero_numpy(self: Tensor) -> List[Tensor]:
    return torch.unbind(self.nonzero(), 1)

def argwhere(self: Tensor) -> Tensor:
    return self.nonzero()

def msort(self: Tensor) -> Tensor:
    return torch.sort(self, 0)[0]

def where(condition: Tensor) -> List[Tensor]:
    return torch.unbind(condition.nonzero(), 1)

# ------------------------------------------------------------------ functions of torch.nn.functional alone

def local_response_norm(input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> Tensor:
    d = input.dim()
    sq = (input * input).unsqueeze(1)
    if d == 3:
        sq = torch.constant_pad_nd(sq, [0, 0, size // 2, (size - 1) // 2], 0)
        avg = torch.squeeze(torch.avg_pool2d(sq, [size, 1], [1, 1]), 1)
    else:
        shape = input.size()
        flat = sq.reshape([shape[0], 1, shape[1], shape[2], -1])
        flat = torch.constant_pad_nd(flat, [0, 0, 0, 0, size // 2, (size - 1) // 2], 0)
        avg = torch.squeeze(torch.avg_pool3d(flat, [size, 1, 1], [1, 1, 1]), 1).reshape(shape)
    return input / torch.pow(avg * alpha + k, beta)

@overload("options")
def _to_copy(self: Tensor, *, dtype: Optional[int] = None, layout: Optional[int] = None, device: Optional[Device] = None, pin_memory: Optional[bool] = None, non_blocking: bool = False, memory_format: Optional[int] = None) -> Tensor:
    return torch._to_copy(self, self.dtype if dtype is None else dtype)

def _adaptive_avg_pool2d(self: Tensor, output_size: BroadcastingList2[int]) -> Tensor:
    return torch.adaptive_avg_pool2d(self, output_size)

def _adaptive_avg_pool3d(self: Tensor, output_size: BroadcastingList3[int]) -> Tensor:
    return torch.adaptive_avg_pool3d(self, output_size)

# ------------------------------------------------------------------ indexing with masks, and reductions into an index

def _index_tensors(self: Tensor, indices: List[Optional[Tensor]]) -> List[Optional[Tensor]]:
    """Masks replaced by the index tensors that nonzero finds."""
    r: List[Optional[Tensor]] = []
    for t in indices:
        if t is None:
            r.append(None)
        elif t.dtype == 11 or t.dtype == 0:
            if t.dim() == 0:
                raise IndexError("masks of no dimensions are not supported as an index")
            for i in range(t.dim()):
                if len(r) + i >= self.dim() or t.size(i) != self.size(len(r) + i):
                    raise IndexError("The shape of the mask {} at index {} does not match the shape of the indexed tensor {} at index {}".format(t.size(), i, self.size(), len(r) + i))
            for at in torch.unbind(t.nonzero(), 1):
                r.append(at)
        else:
            r.append(t)
    return r

@overload("Tensor")
def index(self: Tensor, indices: List[Optional[Tensor]]) -> Tensor:
    return torch._index(self, torch._index_tensors(self, indices))

@overload("Tensor")
def _unsafe_index(self: Tensor, indices: List[Optional[Tensor]]) -> Tensor:
    return torch._index(self, torch._index_tensors(self, indices))

def index_put(self: Tensor, indices: List[Optional[Tensor]], values: Tensor, accumulate: bool = False) -> Tensor:
    return torch._index_put(self, torch._index_tensors(self, indices), values, accumulate)

def _mean_of(total: Tensor, count: Tensor) -> Tensor:
    n = count.clamp_min(1)
    return total / n if total.is_floating_point() else torch.floor_divide(total, n)

@overload("two")
def scatter_reduce(self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
    if reduce == "mean":
        base = self if include_self else torch.scatter(self, dim, index, 0)
        count = torch.ones_like(self) if include_self else torch.zeros_like(self)
        total = torch._scatter_reduce(base, dim, index, src, "sum")
        return torch._mean_of(total, torch._scatter_reduce(count, dim, index, torch.ones_like(src), "sum"))
    elif include_self:
        return torch._scatter_reduce(self, dim, index, src, reduce)
    elif reduce == "sum" or reduce == "prod":
        return torch._scatter_reduce(torch.scatter(self, dim, index, 0 if reduce == "sum" else 1), dim, index, src, reduce)
    else:
        # an extreme of the sources begins with any of them
        return torch._scatter_reduce(torch.scatter(self, dim, index, src), dim, index, src, reduce)

def index_reduce(self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
    if reduce == "mean":
        base = self if include_self else torch.index_fill(self, dim, index, 0)
        count = torch.ones_like(self) if include_self else torch.zeros_like(self)
        total = torch._index_reduce(base, dim, index, source, "sum")
        return torch._mean_of(total, torch._index_reduce(count, dim, index, torch.ones_like(source), "sum"))
    elif include_self:
        return torch._index_reduce(self, dim, index, source, reduce)
    elif reduce == "sum" or reduce == "prod":
        return torch._index_reduce(torch.index_fill(self, dim, index, 0 if reduce == "sum" else 1), dim, index, source, reduce)
    else:
        return torch._index_reduce(torch.index_copy(self, dim, index, source), dim, index, source, reduce)

def _max_unpool(self: Tensor, indices: Tensor, size: List[int]) -> Tensor:
    lead: List[int] = []
    for i in range(self.dim() - len(size)):
        lead.append(self.size(i))
    n = len(lead)
    flat = torch.zeros(lead + [torch._prod(size)], dtype=self.dtype)
    return torch.scatter(flat, n, torch.flatten(indices, n), torch.flatten(self, n)).reshape(lead + size)

def max_unpool2d(self: Tensor, indices: Tensor, output_size: List[int]) -> Tensor:
    return torch._max_unpool(self, indices, output_size)

def max_unpool3d(self: Tensor, indices: Tensor, output_size: List[int], stride: List[int], padding: List[int]) -> Tensor:
    return torch._max_unpool(self, indices, output_size)

@overload("self_Tensor")
def repeat_interleave(self: Tensor, repeats: Tensor, dim: Optional[int] = None, *, output_size: Optional[int] = None) -> Tensor:
    x = torch.flatten(self) if dim is None else self
    d = 0
    if dim is not None:
        d = dim
    reps = repeats
    if repeats.numel() == 1:
        reps = repeats.reshape([1]).expand([x.size(d)])
    if reps.size(0) != x.size(d):
        raise RuntimeError("repeats must have the same size as input along dim, but got repeats.size(0) = {} and input.size({}) = {}".format(reps.size(0), d, x.size(d)))
    return torch.index_select(x, d, torch.repeat_interleave(reps))

def embedding_renorm_(self: Mut[Tensor], indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    rows = torch.index_fill(torch.zeros([self.size(0)], dtype=11), 0, torch.flatten(indices), 1).unsqueeze(1)
    norm = torch.linalg_vector_norm(self, norm_type, [1], True)
    scale = torch.where(norm > max_norm, max_norm / (norm + 1e-07), torch.ones_like(norm))
    self.copy_(torch.where(rows, self * scale, self))
    return self

# ------------------------------------------------------------------ what a run never reaches: is_nested is false

def _nested_tensor_from_mask(t: Tensor, mask: Tensor, mask_check: bool = True) -> Tensor:
    raise NotImplementedError("nested tensors are not supported")

def _nested_tensor_from_mask_left_aligned(t: Tensor, mask: Tensor) -> bool:
    return False

def to_padded_tensor(self: Tensor, padding: float, output_size: Optional[List[int]] = None) -> Tensor:
    raise NotImplementedError("nested tensors are not supported")

# ------------------------------------------------------------------ copies of views

def alias_copy(self: Tensor) -> Tensor:
    return self.clone()

def detach_copy(self: Tensor) -> Tensor:
    return self.clone()

def view_copy(self: Tensor, size: List[int]) -> Tensor:
    return self.view(size).clone()

def expand_copy(self: Tensor, size: List[int], *, implicit: bool = False) -> Tensor:
    return self.expand(size).clone()

def permute_copy(self: Tensor, dims: List[int]) -> Tensor:
    return self.permute(dims).clone()

@overload("int")
def transpose_copy(self: Tensor, dim0: int, dim1: int) -> Tensor:
    return self.transpose(dim0, dim1).clone()

def t_copy(self: Tensor) -> Tensor:
    return self.t().clone()

@overload("int")
def select_copy(self: Tensor, dim: int, index: int) -> Tensor:
    return torch.select(self, dim, index).clone()

@overload("Tensor")
def slice_copy(self: Tensor, dim: int = 0, start: Optional[int] = None, end: Optional[int] = None, step: int = 1) -> Tensor:
    return torch.slice(self, dim, start, end, step).clone()

def squeeze_copy(self: Tensor) -> Tensor:
    return self.squeeze().clone()

@overload("dim")
def squeeze_copy(self: Tensor, dim: int) -> Tensor:
    return self.squeeze(dim).clone()

@overload("dims")
def squeeze_copy(self: Tensor, dim: List[int]) -> Tensor:
    return self.squeeze(dim).clone()

def unsqueeze_copy(self: Tensor, dim: int) -> Tensor:
    return self.unsqueeze(dim).clone()

def diagonal_copy(self: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    return torch.diagonal(self, offset, dim1, dim2).clone()

def unfold_copy(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    return torch.unfold(self, dimension, size, step).clone()

def as_strided_copy(self: Tensor, size: List[int], stride: List[int], storage_offset: Optional[int] = None) -> Tensor:
    return torch.as_strided(self, size, stride, storage_offset).clone()

@overload("int")
def unbind_copy(self: Tensor, dim: int = 0) -> List[Tensor]:
    return [x.clone() for x in torch.unbind(self, dim)]

@overload("Tensor")
def split_copy(self: Tensor, split_size: int, dim: int = 0) -> List[Tensor]:
    return [x.clone() for x in torch.split(self, split_size, dim)]

def split_with_sizes_copy(self: Tensor, split_sizes: List[int], dim: int = 0) -> List[Tensor]:
    return [x.clone() for x in torch.split_with_sizes(self, split_sizes, dim)]

# ------------------------------------------------------------------ small linear algebra over the decompositions

def logdet(self: Tensor) -> Tensor:
    sign, log = torch.slogdet(self)
    return log + torch.log(sign)

def cholesky_solve(self: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    l = input2.transpose(-2, -1) if upper else input2
    return torch.linalg_solve(torch.matmul(l, l.transpose(-2, -1)), self)

def cholesky_inverse(self: Tensor, upper: bool = False) -> Tensor:
    l = self.transpose(-2, -1) if upper else self
    return torch.linalg_inv(torch.matmul(l, l.transpose(-2, -1)))

def linalg_eigvalsh(self: Tensor, UPLO: str = "L") -> Tensor:
    return torch.linalg_eigh(self, UPLO)[0]

def qr(self: Tensor, some: bool = True) -> Tuple[Tensor, Tensor]:
    return torch.linalg_qr(self, "reduced" if some else "complete")

def svd(self: Tensor, some: bool = True, compute_uv: bool = True) -> Tuple[Tensor, Tensor, Tensor]:
    u, s, vh = torch.linalg_svd(self, not some)
    return (u, s, vh.transpose(-2, -1))

@overload("atol_rtol_float")
def linalg_pinv(self: Tensor, *, atol: Optional[float] = None, rtol: Optional[float] = None, hermitian: bool = False) -> Tensor:
    eps = 2.220446049250313e-16 if self.dtype == 7 else 1.1920928955078125e-07
    a = 0.0 if atol is None else atol
    r = rtol
    if r is None:
        r = 0.0 if a > 0.0 else eps * float(max(self.size(-1), self.size(-2)))
    return torch._pinv(self, a, r)

def linalg_pinv(self: Tensor, rcond: float, hermitian: bool = False) -> Tensor:
    return torch._pinv(self, 0.0, rcond)

def _pinv(self: Tensor, atol: float, rtol: float) -> Tensor:
    u, s, vh = torch.linalg_svd(self, False)
    small = s <= torch.clamp_min(rtol * s.amax([-1], True), atol)
    inverse = torch.where(small, torch.zeros_like(s), 1.0 / s)
    return torch.matmul(vh.transpose(-2, -1) * inverse.unsqueeze(-2), u.transpose(-2, -1))

def pinverse(self: Tensor, rcond: float = 1e-15) -> Tensor:
    return torch.linalg_pinv(self, rcond)

def affine_grid_generator(theta: Tensor, size: List[int], align_corners: bool) -> Tensor:
    n = len(size) - 2
    parts: List[Tensor] = []
    for d in range(n):
        m = size[len(size) - 1 - d]
        steps = torch.linspace(-1, 1, m, dtype=theta.dtype) if m > 1 else torch.zeros([1], dtype=theta.dtype)
        if not align_corners:
            steps = steps * (float(m - 1) / float(m))
        shape: List[int] = []
        for i in range(n):
            shape.append(m if i == n - 1 - d else 1)
        parts.append(steps.reshape(shape).expand(size[2:]))
    parts.append(torch.ones(size[2:], dtype=theta.dtype))
    grid = torch.stack(parts, -1).reshape([1, -1, n + 1])
    return torch.matmul(grid, theta.transpose(1, 2)).reshape([size[0]] + size[2:] + [n])
