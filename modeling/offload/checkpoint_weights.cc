#include "modeling/offload/checkpoint_weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "modeling/offload/offloaded_weights.h"
#include "modeling/tensor_bridge.h"

// Of Linux 5.4 and 5.14; the C library's headers may be older.
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace pretrained {
namespace {

class CheckpointWeights : public OffloadedWeights {
 public:
  static absl::StatusOr<std::shared_ptr<const OffloadedWeights>> Make(
      std::vector<CheckpointWeight> sources) {
    auto result = absl::WrapUnique(new CheckpointWeights(std::move(sources)));
    for (size_t i = 0; i < result->sources_.size(); ++i) {
      const CheckpointWeight& source = result->sources_[i];
      const TensorInfo& tensor = *source.tensor;
      result->weights_.push_back({.name = source.name,
                                  .dtype = ToScalarType(tensor.dtype),
                                  .shape = tensor.shape,
                                  .nbytes = tensor.nbytes()});
      if (!result->index_.try_emplace(source.name, i).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("the weight '", source.name, "' is offloaded twice"));
      }
    }
    return std::shared_ptr<const OffloadedWeights>(std::move(result));
  }

  absl::Span<const Weight> weights() const override { return weights_; }

  const Weight* Find(absl::string_view name) const override {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &weights_[found->second];
  }

  absl::StatusOr<at::Tensor> Get(absl::string_view name) const override {
    const auto found = index_.find(name);
    if (found == index_.end()) {
      return absl::NotFoundError(
          absl::StrCat("no weight '", name, "' was offloaded"));
    }
    const CheckpointWeight& source = sources_[found->second];
    absl::StatusOr<TensorView> view = source.checkpoint->View(*source.tensor);
    if (!view.ok()) return view.status();
    return TensorFromView(*view, source.tensor->dtype, source.tensor->shape);
  }

  void Prefetch(absl::string_view name) const override {
    Advise(name, MADV_WILLNEED, /*whole_pages=*/false);
    Advise(name, MADV_POPULATE_READ, /*whole_pages=*/false);
  }

  void Release(absl::string_view name) const override {
    Advise(name, MADV_COLD, /*whole_pages=*/true);
  }

 private:
  explicit CheckpointWeights(std::vector<CheckpointWeight> sources)
      : sources_(std::move(sources)) {}

  // Advises on the pages of a mapped weight: of all that it touches, or of
  // those that nothing else is on. What a kernel does not know is left out.
  void Advise(absl::string_view name, int advice, bool whole_pages) const {
    const auto found = index_.find(name);
    if (found == index_.end()) return;
    const CheckpointWeight& source = sources_[found->second];
    if (!source.tensor->in_place || source.tensor->nbytes() == 0) return;
    const absl::StatusOr<TensorView> view =
        source.checkpoint->View(*source.tensor);
    if (!view.ok()) return;
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    uintptr_t begin = reinterpret_cast<uintptr_t>(view->data);
    uintptr_t end = begin + view->nbytes;
    begin = (begin + (whole_pages ? page - 1 : 0)) / page * page;
    if (whole_pages) end = end / page * page;
    if (begin >= end) return;
    madvise(reinterpret_cast<void*>(begin), end - begin, advice);
  }

  const std::vector<CheckpointWeight> sources_;
  std::vector<Weight> weights_;  // One for each.
  absl::flat_hash_map<std::string, size_t> index_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const OffloadedWeights>> MakeCheckpointWeights(
    std::vector<CheckpointWeight> weights) {
  return CheckpointWeights::Make(std::move(weights));
}

}  // namespace pretrained
