#ifndef PRETRAINED_MODELING_FROM_PRETRAINED_OPTIONS_H_
#define PRETRAINED_MODELING_FROM_PRETRAINED_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "checkpoint/loading/engine_choice.h"
#include "modeling/file_resolver.h"
#include "modeling/loading_info.h"
#include "modeling/pretrained_config.h"
#include "modeling/state_dict.h"
#include "nlohmann/json.hpp"

namespace pretrained {

// The arguments of from_pretrained, under their documented names and with their
// documented defaults.
// Matches: transformers 4.34 modeling_utils.py `from_pretrained`.
struct FromPretrainedOptions {
  // "auto" (the config's, else that of the first floating weight), or a dtype
  // such as "float16"; float32 when empty.
  std::string torch_dtype;

  // Instead of the model's own config.json: a config, or where one is: a
  // folder, a file, or a name.
  std::variant<std::monostate, PretrainedConfig, std::string> config;

  // Weights to use instead of the stored ones. Their values are copied, but
  // with `low_cpu_mem_usage` true: then tensors of the wanted dtype are the
  // model's from now on.
  std::optional<StateDict> state_dict;

  // What transformers takes as further keyword arguments: config attributes
  // ({"output_attentions": true}), and arguments of the model's constructor
  // ({"add_pooling_layer": false}).
  nlohmann::ordered_json kwargs = nlohmann::ordered_json::object();

  // "fp16" reads model.fp16.safetensors, or pytorch_model.fp16.bin.
  std::string variant;

  // Weights of another shape are drawn anew instead of being an error.
  bool ignore_mismatched_sizes = false;

  // True takes safetensors files only, false none of them. Without a value they
  // come first, but pytorch_model.bin will do.
  std::optional<bool> use_safetensors;

  // Takes the weights that TensorFlow, or Flax, saved.
  bool from_tf = false;
  bool from_flax = false;

  // Where in the folder, or repository, config and weights are; empty: in
  // itself.
  std::string subfolder;

  // Where each module goes: a strategy ("auto", "balanced", "balanced_low_0",
  // "sequential"), the name of a device for the whole model ("cpu", "disk"), or
  // a JSON object {module name: device}. Empty: all into the CPU's memory.
  // Checked before anything is read. PlaceModel() in device_map_option.h.
  std::string device_map;
  // Device to bytes, or a size such as "10GB"; without, what is free.
  std::map<std::string, std::string> max_memory;
  // Where weights are written that go to the disk and cannot stay in the
  // checkpoint: those whose dtype changes, and what is not stored as it is
  // used. It may be missing. Nothing is written, or made, if none do.
  std::string offload_folder;
  // No effect: no weight is ever in memory twice.
  bool offload_state_dict = false;

  // No effect but on `state_dict`, and that `device_map` refuses false, as in
  // 4.34: a model is made without weights in any case.
  std::optional<bool> low_cpu_mem_usage;
  // No effect: the peer's `_fast_init`. What the checkpoint supplies is never
  // initialised first; what it lacks always is.
  bool fast_init = true;
  // Makes the weights that the checkpoint lacks repeatable; without one they
  // come from LibTorch's default generator (torch::manual_seed()).
  std::optional<uint64_t> seed;

  // How `name_or_path` becomes files. LocalFileResolver() when null, which
  // knows paths of this machine only; the options below are for resolvers that
  // download.
  const FileResolver* resolver = nullptr;
  std::string cache_dir;
  bool force_download = false;
  bool resume_download = false;
  std::map<std::string, std::string> proxies;
  bool local_files_only = false;
  std::string token;
  std::string revision = "main";
  std::string mirror;

  // Refused, each with what to do instead.
  bool trust_remote_code = false;
  bool use_flash_attention_2 = false;
  bool load_in_8bit = false;
  bool load_in_4bit = false;
  nlohmann::ordered_json quantization_config;
  nlohmann::ordered_json adapter_kwargs;
  std::string adapter_name = "default";

  // Views weights in place where their dtype allows and that suits; false
  // copies them all, as does Sharing::kPrivate.
  bool use_mmap = true;
  // Whose memory weights live in that keep their stored dtype: of the page
  // cache, which processes share, of this process, or whichever suits
  // (checkpoint/loading/README.md).
  Sharing sharing = Sharing::kAuto;
  // Reads in flight, and private memory that weights may take before they are
  // mapped instead; 0: what suits, and what the machine leaves.
  int read_threads = 0;
  int64_t read_memory_bytes = 0;
  // Asked while weights are read, by any thread; true ends with kCancelled. May
  // be empty.
  std::function<bool()> is_cancelled;
  // Told, as weights arrive, how many of how many stored bytes are in place.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
  // Filled when not null, also when loading fails after keys were matched.
  LoadingInfo* output_loading_info = nullptr;
};

// kUnimplemented for options that ask for what this version does not do,
// kInvalidArgument for those that contradict each other; the message says what
// to do instead.
absl::Status CheckFromPretrainedOptions(const FromPretrainedOptions& options);

// Says how to make a class of one's own known, for errors that refuse code out
// of a checkpoint.
std::string HowToRegisterAClass();

// What a resolver is to be asked for the model `name_or_path`.
FileRequest MakeFileRequest(const std::string& name_or_path,
                            FileRequest::Files files,
                            const FromPretrainedOptions& options);

}  // namespace pretrained

#endif  // PRETRAINED_MODELING_FROM_PRETRAINED_OPTIONS_H_
