#ifndef PRETRAINED_MODELING_META_KERNELS_H_
#define PRETRAINED_MODELING_META_KERNELS_H_

namespace pretrained {

// Lets models run on the meta device, where a tensor has a shape, a dtype and
// no memory: LibTorch without Python lacks some operators there (index_select,
// where, relu, layer_norm, log_sigmoid, ..), which this adds, once for
// the process. What LibTorch, or somebody else, has there already stays.
// Threads: any may call it, at any time.
void RegisterMetaKernels();

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_META_KERNELS_H_
