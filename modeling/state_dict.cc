#include "modeling/state_dict.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/tensor_slice.h"
#include "checkpoint/tensor_table.h"
#include "dtypes/dtype.h"
#include "modeling/catch_torch.h"
#include "modeling/tensor_bridge.h"

namespace pretrained {
namespace {

constexpr char kWhere[] = "state_dict";

// The tensor's elements, dense, on the CPU: itself where it is that already.
at::Tensor Dense(const at::Tensor& tensor) {
  return tensor.detach().cpu().contiguous();
}

class StateDictCheckpoint : public Checkpoint {
 public:
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Make(StateDict state_dict);

  absl::string_view format() const override { return kWhere; }
  absl::Span<const CheckpointFile> files() const override { return files_; }
  absl::Span<const TensorInfo> tensors() const override {
    return table_.tensors();
  }
  absl::Span<const std::pair<std::string, std::string>> metadata()
      const override {
    return {};
  }
  absl::StatusOr<const TensorInfo*> Find(
      absl::string_view name) const override {
    return table_.Find(name, kWhere);
  }

  absl::StatusOr<TensorView> View(const TensorInfo& tensor) const override {
    return CatchTorch(kWhere, [&]() -> absl::StatusOr<TensorView> {
      auto dense = std::make_shared<at::Tensor>(Dense(TensorOf(tensor)));
      return TensorView{.data = dense->data_ptr(),
                        .nbytes = tensor.nbytes(),
                        .owner = std::move(dense)};
    });
  }

  absl::Status Read(const TensorInfo& tensor,
                    absl::Span<char> destination) const override {
    return ReadSlice(tensor, {}, destination);
  }

  absl::Status ReadSlice(const TensorInfo& tensor,
                         absl::Span<const SliceRange> ranges,
                         absl::Span<char> destination) const override {
    absl::StatusOr<TensorSlice> slice = TensorSlice::Create(tensor, ranges);
    if (!slice.ok()) return slice.status();
    if (slice->nbytes() != static_cast<int64_t>(destination.size())) {
      return absl::InvalidArgumentError(absl::StrCat(
          kWhere, ": tensor '", tensor.name, "': the destination ", "has ",
          destination.size(), " bytes, but ", slice->nbytes(), " are read"));
    }
    absl::StatusOr<const TensorInfo*> whole = Find(tensor.name);
    if (!whole.ok()) return whole.status();
    if (tensor.begin < (*whole)->begin || tensor.end > (*whole)->end) {
      return absl::InvalidArgumentError(absl::StrCat(
          kWhere, ": tensor '", tensor.name, "': bytes ", tensor.begin, " to ",
          tensor.end, " are not all its own"));
    }
    absl::StatusOr<TensorView> view = View(tensor);
    if (!view.ok()) return view.status();
    const char* const from =
        static_cast<const char*>(view->data) + (tensor.begin - (*whole)->begin);
    char* to = destination.data();
    return slice->ForEachRun([&](int64_t offset) {
      std::memcpy(to, from + offset, slice->run_bytes());
      to += slice->run_bytes();
      return absl::OkStatus();
    });
  }

  absl::Status CheckFilesUnchanged() const override { return absl::OkStatus(); }

 private:
  StateDictCheckpoint() = default;

  // Infos stand in the order of the tensors, and may be copies.
  const at::Tensor& TensorOf(const TensorInfo& info) const {
    return state_dict_[table_.Find(info.name, kWhere).value() -
                       table_.tensors().data()]
        .second;
  }

  StateDict state_dict_;
  TensorTable table_;
  std::vector<CheckpointFile> files_;
};

absl::StatusOr<std::unique_ptr<Checkpoint>> StateDictCheckpoint::Make(
    StateDict state_dict) {
  auto checkpoint = absl::WrapUnique(new StateDictCheckpoint);
  std::vector<TensorInfo> infos;
  const std::vector<int> storages = FirstAliases(state_dict);
  int64_t begin = 0;
  for (const auto& [name, tensor] : state_dict) {
    const std::string where = absl::StrCat(kWhere, ": tensor '", name, "'");
    if (!tensor.defined()) {
      return absl::InvalidArgumentError(absl::StrCat(where, " is undefined"));
    }
    if (tensor.is_meta()) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, " is on the meta device and has no values to load"));
    }
    absl::StatusOr<Dtype> dtype = ToDtype(tensor.scalar_type());
    if (!dtype.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", dtype.status().message()));
    }
    TensorInfo info{.name = name,
                    .dtype = *dtype,
                    .shape = tensor.sizes().vec(),
                    .begin = begin,
                    .end = begin + static_cast<int64_t>(tensor.nbytes()),
                    .in_place = tensor.is_contiguous() && tensor.is_cpu()};
    begin = info.end;
    if (tensor.numel() > 0) info.storage = storages[infos.size()];
    infos.push_back(std::move(info));
  }
  absl::StatusOr<TensorTable> table = TensorTable::Create(
      std::move(infos), [](const TensorInfo&, const TensorInfo& later) {
        return absl::InvalidArgumentError(
            absl::StrCat(kWhere, ": tensor '", later.name, "' occurs twice"));
      });
  if (!table.ok()) return table.status();
  checkpoint->table_ = *std::move(table);
  checkpoint->files_ = {{.path = kWhere, .size_bytes = begin}};
  checkpoint->state_dict_ = std::move(state_dict);
  return checkpoint;
}

}  // namespace

std::vector<int> FirstAliases(const StateDict& state_dict) {
  using MemoryKey = std::tuple<const void*, std::vector<int64_t>,
                               std::vector<int64_t>, at::ScalarType>;
  std::map<MemoryKey, int> first;
  std::vector<int> aliases;
  for (const auto& [name, tensor] : state_dict) {
    const int index = static_cast<int>(aliases.size());
    aliases.push_back(index);
    if (!tensor.defined() || tensor.numel() == 0) continue;
    const void* const address =
        tensor.is_meta()
            ? static_cast<const void*>(tensor.unsafeGetTensorImpl())
            : tensor.const_data_ptr();
    aliases.back() =
        first
            .try_emplace({address, tensor.sizes().vec(), tensor.strides().vec(),
                          tensor.scalar_type()},
                         index)
            .first->second;
  }
  return aliases;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> MakeStateDictCheckpoint(
    StateDict state_dict) {
  return CatchTorch(
      kWhere, [&] { return StateDictCheckpoint::Make(std::move(state_dict)); });
}

}  // namespace pretrained
