// Loads a checkpoint's tensors into memory once, as a model would have them,
// and says how long that took: our side of load_peers.py.
//
//   load_checkpoint SRC [--sharing=auto|shared|private] [--dtype=float32]
//                       [--engine=direct] [--threads=N]
//                       [--latency_ms=2 [--mb_per_second=500]]
//                       [--save=DEST [--max_shard_size=500MB]] [--hold]
//
// One JSON document on stdout: {call_seconds, seconds, summed_seconds, bytes,
// sum, engines, files}. The clock starts before the checkpoint is opened.
// `call_seconds` is when tensors are there, `seconds` when a byte of every page
// was read as well, so that nothing is still to come from a disk, and
// `summed_seconds` when all bytes were. `sum` is that of all tensors' bytes, as
// stored or converted, as little-endian 64-bit words (a shorter last one is
// filled up with zeros), modulo 2^64. With a latency, storage is as slow as
// SlowStorage makes it. --save also writes the tensors, {save_seconds}. --hold
// keeps them until stdin ends.

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmarks/tensor_sum.h"
#include "checkpoint/byte_size.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/shard_loader.h"
#include "checkpoint/loading/slow_storage.h"
#include "checkpoint/open_checkpoint.h"
#include "checkpoint/save/save_checkpoint.h"
#include "checkpoint/tensor_to_write.h"
#include "dtypes/dtype.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string source;
  std::string sharing = "auto";
  std::string dtype;
  std::string engine;
  int threads = 0;
  double latency_ms = 0;
  double mb_per_second = 0;
  std::string save;
  std::string max_shard_size = "10GB";
  bool hold = false;
};

// Reads a byte of every page.
void Touch(const std::vector<TensorView>& views) {
  volatile char sink = 0;
  for (const TensorView& view : views) {
    const char* const bytes = static_cast<const char*>(view.data);
    for (int64_t i = 0; i < view.nbytes; i += 4096) sink = sink ^ bytes[i];
    if (view.nbytes > 0) sink = sink ^ bytes[view.nbytes - 1];
  }
}

absl::StatusOr<LoaderOptions> OptionsOf(const Flags& flags,
                                        SlowStorage& storage) {
  LoaderOptions options = {.num_threads = flags.threads};
  if (flags.sharing == "shared") options.sharing = Sharing::kShared;
  if (flags.sharing == "private") options.sharing = Sharing::kPrivate;
  if (!flags.engine.empty()) {
    for (const ReadEngine engine :
         {ReadEngine::kMapped, ReadEngine::kWarmed, ReadEngine::kBuffered,
          ReadEngine::kDirect, ReadEngine::kStreaming}) {
      if (ReadEngineName(engine) == flags.engine) options.engine = engine;
    }
    if (!options.engine.has_value()) {
      return absl::InvalidArgumentError("--engine: there is no such engine");
    }
  }
  if (flags.latency_ms > 0 || flags.mb_per_second > 0) {
    options.wrap_source = [&storage](std::unique_ptr<FileSource> source) {
      return storage.Wrap(std::move(source));
    };
  }
  return options;
}

absl::StatusOr<std::vector<TensorRequest>> RequestsOf(
    const Checkpoint& checkpoint, const Flags& flags) {
  std::vector<TensorRequest> requests;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    requests.push_back({&tensor, tensor.dtype});
    if (flags.dtype.empty() || !IsFloatingPoint(tensor.dtype)) continue;
    const auto dtype = ParseTorchDtype(flags.dtype);
    if (!dtype.ok()) return dtype.status();
    requests.back().dtype = dtype->value_or(tensor.dtype);
  }
  return requests;
}

absl::Status Save(const Flags& flags,
                  const std::vector<TensorRequest>& requests,
                  const std::vector<TensorView>& views, Json& document) {
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < requests.size(); ++i) {
    tensors.push_back({.name = requests[i].tensor->name,
                       .dtype = requests[i].dtype,
                       .shape = requests[i].tensor->shape,
                       .data = views[i].data});
  }
  const absl::StatusOr<int64_t> most = ParseByteSize(flags.max_shard_size);
  if (!most.ok()) return most.status();
  const absl::Time start = absl::Now();
  const auto saved = SaveCheckpoint(flags.save, std::move(tensors),
                                    {.max_shard_bytes = *most});
  document["save_seconds"] = absl::ToDoubleSeconds(absl::Now() - start);
  return saved.status();
}

absl::Status Run(const Flags& flags) {
  const absl::Time start = absl::Now();
  const auto seconds = [start] {
    return absl::ToDoubleSeconds(absl::Now() - start);
  };
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
      OpenCheckpoint(flags.source);
  if (!checkpoint.ok()) return checkpoint.status();
  SlowStorage storage({.latency = absl::Milliseconds(flags.latency_ms),
                       .bytes_per_second = flags.mb_per_second * 1e6});
  const absl::StatusOr<LoaderOptions> options = OptionsOf(flags, storage);
  if (!options.ok()) return options.status();
  const auto requests = RequestsOf(**checkpoint, flags);
  if (!requests.ok()) return requests.status();
  LoadReport report;
  auto views = LoadTensors(**checkpoint, *requests, *options, &report);
  if (!views.ok()) return views.status();
  Json document = {{"call_seconds", seconds()}};
  Touch(*views);
  document["seconds"] = seconds();
  const uint64_t sum = SumOfTensors(*views);
  document["summed_seconds"] = seconds();
  int64_t bytes = 0;
  for (const TensorView& view : *views) bytes += view.nbytes;
  document["bytes"] = bytes;
  document["sum"] = sum;
  document["engines"] = report.Engines();
  for (const LoadReport::File& file : report.files) {
    document["files"].push_back({{"path", file.path},
                                 {"engines", file.Engines()},
                                 {"read_bytes", file.read_bytes},
                                 {"gb_per_second", file.gb_per_second()}});
  }
  if (!flags.save.empty()) {
    absl::Status status = Save(flags, *requests, *views, document);
    if (!status.ok()) return status;
  }
  std::cout << document.dump() << std::endl;
  if (flags.hold) std::cin.ignore(1 << 30, EOF);
  return absl::OkStatus();
}

}  // namespace
}  // namespace pretrained

int main(int argc, char** argv) {
  pretrained::Flags flags;
  CLI::App app("Loads a checkpoint's tensors once and says how long that took");
  app.add_option("SRC", flags.source)->required();
  app.add_option("--sharing", flags.sharing)
      ->check(CLI::IsMember({"auto", "shared", "private"}));
  app.add_option("--dtype", flags.dtype);
  app.add_option("--engine", flags.engine);
  app.add_option("--threads", flags.threads);
  app.add_option("--latency_ms", flags.latency_ms);
  app.add_option("--mb_per_second", flags.mb_per_second);
  app.add_option("--save", flags.save);
  app.add_option("--max_shard_size", flags.max_shard_size);
  app.add_flag("--hold", flags.hold);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = pretrained::Run(flags);
  if (status.ok()) return 0;
  std::cerr << "load_checkpoint: " << status.message() << "\n";
  return 1;
}
