#include "modeling/from_pretrained_options.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modeling/file_resolver.h"

namespace pretrained {
namespace {

bool IsGiven(const nlohmann::ordered_json& argument) {
  return !argument.is_null() && !argument.empty();
}

absl::Status CheckSupported(const FromPretrainedOptions& options) {
  if (options.trust_remote_code) {
    return absl::UnimplementedError(
        absl::StrCat("trust_remote_code: no Python out of a checkpoint is run; "
                     "leave it out, and ",
                     HowToRegisterAClass()));
  }
  if (options.use_flash_attention_2) {
    return absl::UnimplementedError(
        "use_flash_attention_2: its kernels are for CUDA devices, and models "
        "stand on the CPU here; leave it out: attention goes through "
        "LibTorch's "
        "fused scaled_dot_product_attention wherever the result is the same");
  }
  if (options.load_in_8bit || options.load_in_4bit ||
      IsGiven(options.quantization_config)) {
    return absl::UnimplementedError(absl::StrCat(
        options.load_in_8bit   ? "load_in_8bit"
        : options.load_in_4bit ? "load_in_4bit"
                               : "quantization_config",
        ": this version has no quantised modules; leave it out, "
        "and pass torch_dtype \"float16\" or \"bfloat16\" to halve "
        "the memory"));
  }
  if (IsGiven(options.adapter_kwargs) || options.adapter_name != "default") {
    return absl::UnimplementedError(absl::StrCat(
        IsGiven(options.adapter_kwargs) ? "adapter_kwargs" : "adapter_name",
        ": this version loads no adapters; merge the adapter into its base "
        "model, and load that"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string HowToRegisterAClass() {
  return "write the class in C++, give it a layout and a config, and call "
         "RegisterLayout(), RegisterModel() and RegisterForAutoClass() "
         "(modeling/auto_model.h; examples/consumer shows one)";
}

absl::Status CheckFromPretrainedOptions(const FromPretrainedOptions& options) {
  if (options.from_tf && options.from_flax) {
    return absl::InvalidArgumentError(
        "from_tf and from_flax are both set, but weights come from one place; "
        "leave one of them out");
  }
  if (!options.device_map.empty() && options.low_cpu_mem_usage == false) {
    return absl::InvalidArgumentError(
        "device_map needs low_cpu_mem_usage; leave the latter out, or set it");
  }
  return CheckSupported(options);
}

FileRequest MakeFileRequest(const std::string& name_or_path,
                            FileRequest::Files files,
                            const FromPretrainedOptions& options) {
  return {.name_or_path = name_or_path,
          .files = files,
          .subfolder = options.subfolder,
          .variant = options.variant,
          .use_safetensors = options.use_safetensors,
          .from_tf = options.from_tf,
          .from_flax = options.from_flax,
          .download = {.cache_dir = options.cache_dir,
                       .force_download = options.force_download,
                       .resume_download = options.resume_download,
                       .proxies = options.proxies,
                       .local_files_only = options.local_files_only,
                       .token = options.token,
                       .revision = options.revision,
                       .mirror = options.mirror}};
}

}  // namespace pretrained
