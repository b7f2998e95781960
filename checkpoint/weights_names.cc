#include "checkpoint/weights_names.h"

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint_format.h"

namespace pretrained {
namespace checkpoint_internal {

absl::Span<const WeightsName> KnownWeightsNames() {
  static constexpr WeightsName kNames[] = {
      {CheckpointFramework::kTensorflow, "model.ckpt.index", "", "",
       "a TensorFlow checkpoint"},
      {CheckpointFramework::kTensorflow, "tf_model.h5",
       "tf_model.h5.index.json", "\x89HDF\r\n", "a Keras HDF5 file"},
      {CheckpointFramework::kFlax, "flax_model.msgpack",
       "flax_model.msgpack.index.json", "", "a Flax msgpack file"},
      {CheckpointFramework::kPytorch, "model.safetensors",
       "model.safetensors.index.json", "", "a safetensors file"},
      {CheckpointFramework::kPytorch, "pytorch_model.bin",
       "pytorch_model.bin.index.json", "", "a torch.save archive"},
  };
  return kNames;
}

const CheckpointFormat* FormatOf(
    const WeightsName& known,
    absl::Span<const CheckpointFormat* const> formats) {
  for (const CheckpointFormat* format : formats) {
    if (format->weights_name == known.weights_name) return format;
  }
  return nullptr;
}

bool IsVariantOf(absl::string_view file_name, absl::string_view name) {
  const size_t dot = name.rfind('.');
  if (name.empty() || dot == absl::string_view::npos) return false;
  if (file_name == name) return true;
  return file_name.size() > name.size() + 1 &&
         absl::StartsWith(file_name, name.substr(0, dot + 1)) &&
         absl::EndsWith(file_name, name.substr(dot));
}

}  // namespace checkpoint_internal
}  // namespace pretrained
