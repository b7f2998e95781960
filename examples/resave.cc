// Loads a model of the class that its config names, and saves it again: in
// another dtype, in shards, as another format.
//
//   bazel run -c opt //examples:resave -- SRC DST [DTYPE [MAX_SHARD_SIZE]]
//
// DTYPE is "float16", .. or "auto", the stored one. A MAX_SHARD_SIZE such as
// "2GB" makes shards of at most that. DST may be SRC. For checkpoints whose
// class is not known here, or that are larger than memory, see `pretrained
// convert`, which copies tensors and builds no model.

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modeling/auto_model.h"
#include "modeling/from_pretrained.h"
#include "modeling/pretrained_config.h"
#include "modeling/pretrained_model.h"
#include "modeling/save_pretrained.h"

namespace {

absl::Status Resave(const std::string& source, const std::string& destination,
                    const std::string& dtype,
                    const std::string& max_shard_size) {
  const absl::StatusOr<pretrained::PretrainedConfig> config =
      pretrained::AutoConfig::FromPretrained(source);
  if (!config.ok()) return config.status();
  const absl::StatusOr<const pretrained::ModelClass*> model_class =
      pretrained::FindModelFor(*config, /*class_name=*/"");
  if (!model_class.ok()) return model_class.status();
  const absl::StatusOr<std::shared_ptr<pretrained::PretrainedModel>> model =
      pretrained::LoadPretrained(**model_class, source, {.torch_dtype = dtype});
  if (!model.ok()) return model.status();
  const absl::StatusOr<pretrained::SavedCheckpoint> saved =
      (*model)->SavePretrained(destination, {.max_shard_size = max_shard_size});
  if (!saved.ok()) return saved.status();
  for (const std::string& file : saved->files) std::cout << file << "\n";
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 5) {
    std::cerr << "usage: resave SRC DST [DTYPE [MAX_SHARD_SIZE]]\n";
    return 2;
  }
  const absl::Status status =
      Resave(argv[1], argv[2], argc > 3 ? argv[3] : "auto",
             argc > 4 ? argv[4] : "10GB");
  if (!status.ok()) {
    std::cerr << status.message() << "\n";
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
