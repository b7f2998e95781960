#ifndef PRETRAINED_MODELING_SAVE_PRETRAINED_H_
#define PRETRAINED_MODELING_SAVE_PRETRAINED_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/save/save_checkpoint.h"
#include "modeling/generation_config.h"
#include "modeling/pretrained_config.h"
#include "modeling/state_dict.h"

namespace pretrained {

// Files of a folder to be sent to a model's repository on the Hub.
struct UploadRequest {
  std::string folder;
  std::vector<std::string> files;  // Within the folder: what a save wrote.
  std::string repo_id;             // "me/my-model"
  std::string commit_message;
  std::string token;  // Empty: the uploader's own.
};

// Sends files to the Hub.
class Uploader {
 public:
  virtual ~Uploader() = default;
  virtual absl::Status Upload(const UploadRequest& request) const = 0;
};

// The arguments of save_pretrained, under their documented names.
// Matches: transformers 4.34 modeling_utils.py `save_pretrained`.
// Differs: `safe_serialization` is true; there it became so in 4.35.
struct SavePretrainedOptions {
  // Of processes that save one model together, one writes the configs and
  // removes what an earlier save left; each writes the weights.
  bool is_main_process = true;

  // Saved instead of the model's own tensors.
  std::optional<StateDict> state_dict;

  // Writes a file of weights, instead of this library, where
  // `safe_serialization` is false: torch.save, there.
  std::function<absl::Status(const StateDict& shard, const std::string& path)>
      save_function;

  // Sends what was written to the repository `repo_id` (the folder's name when
  // empty), through `uploader`, which must be there.
  bool push_to_hub = false;
  const Uploader* uploader = nullptr;
  std::string repo_id;
  std::string commit_message = "Upload model";
  std::string token;

  // Of one file: "10GB", "500MiB"; a tensor that is larger has its own.
  std::string max_shard_size = "10GB";

  // model.safetensors; false: pytorch_model.bin.
  bool safe_serialization = true;

  // "fp16" for model.fp16.safetensors.
  std::string variant;

  // Of adapters, which models here have none of: no effect.
  bool save_peft_format = true;

  // Told now and then how many bytes of tensors have been written.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
};

// What is to be saved of a model.
struct ModelToSave {
  std::string class_name;   // Becomes `architectures`.
  std::string torch_dtype;  // "float32"; becomes that of the config.
  PretrainedConfig config;
  // Of models that can generate. One that Validate() or Warnings() has words on
  // is left out, with a warning, as in 4.34.
  std::optional<GenerationConfig> generation_config;
  std::vector<std::string> tied_weights_keys;       // See ModelLayout.
  std::vector<std::string> keys_to_ignore_on_save;  // Whole names.
  StateDict state_dict;
  // Reads values of tensors that `state_dict` has on the meta device, by name:
  // those of an offloaded model. Each is read when its turn to be written comes
  // and let go after; several threads may do so at once.
  absl::flat_hash_map<std::string, std::function<absl::StatusOr<at::Tensor>()>>
      offloaded = {};
};

// Writes config.json, generation_config.json and the weights into `folder`, so
// that LoadPretrained() and transformers 4.34 load them. All files appear at
// once, or nothing changes, whatever happens meanwhile (SaveCheckpoint()); the
// folder may be the one that the weights are mapped from.
//
// Memory: tensors are written from where they are; of offloaded ones a few at a
// time are read (all of a shard's where `save_function` writes it).
//
// Names that are one tensor are stored once in safetensors files
// (AliasesToLeaveOut()); torch files keep all names.
//   kInvalidArgument     a `max_shard_size` that is none, a tensor without
//                        values (on the meta device, and not offloaded), an
//                        ignored pattern that is no regular expression
//   kFailedPrecondition  push_to_hub without an uploader
//   as SaveCheckpoint(), `save_function` and the uploader
// Differs: of tensors that overlap in memory but are not the same, each is
//     stored whole; there all but one are lost.
absl::StatusOr<SavedCheckpoint> SaveModel(const ModelToSave& model,
                                          const std::string& folder,
                                          const SavePretrainedOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_SAVE_PRETRAINED_H_
