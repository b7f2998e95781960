#include "checkpoint/loading/shard_loader.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/loading/available_memory.h"
#include "checkpoint/loading/checkpoint_source.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/file_system_kind.h"
#include "checkpoint/loading/page_cache.h"
#include "checkpoint/loading/read_plan.h"
#include "checkpoint/loading/run_reads.h"
#include "checkpoint/loading/tensor_memory.h"
#include "checkpoint/make_pages.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

constexpr int64_t kTensorAlignment = 64;

// What one file is asked for, as numbers of requests.
struct FileShare {
  std::vector<size_t> as_stored;  // In their dtype, no two over the same bytes.
  std::vector<size_t> converted;  // The other ones in place.
  std::vector<size_t> whole;      // Those that only Checkpoint::Read() reads.
  std::vector<size_t> viewed;     // Those that are in memory already.
};

int64_t ResultBytes(const TensorRequest& request) {
  return request.tensor->num_elements() * DtypeSize(request.dtype);
}

absl::Status CheckRequest(const Checkpoint& checkpoint,
                          const TensorRequest& request) {
  const TensorInfo& tensor = *request.tensor;
  if (tensor.dtype == request.dtype ||
      CanConvert(tensor.dtype, request.dtype)) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat(checkpoint.files()[tensor.file].path, ": tensor ",
                   checkpoint_internal::QuotedName(tensor.name),
                   " is stored as ", DtypeName(tensor.dtype),
                   ", which is not converted to ", DtypeName(request.dtype)));
}

// Memory for a tensor of its own; null if there is none.
std::shared_ptr<void> OwnMemory(int64_t bytes) {
  const int64_t size =
      (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  return std::shared_ptr<void>(std::aligned_alloc(kTensorAlignment, size),
                               [](void* memory) { std::free(memory); });
}

class ShardLoader {
 public:
  ShardLoader(const Checkpoint& checkpoint,
              absl::Span<const TensorRequest> requests,
              const LoaderOptions& options, LoadReport& report)
      : checkpoint_(checkpoint),
        requests_(requests),
        options_(options),
        report_(report),
        views_(requests.size()) {}

  absl::StatusOr<std::vector<TensorView>> Load() {
    for (const TensorRequest& request : requests_) {
      absl::Status status = CheckRequest(checkpoint_, request);
      if (!status.ok()) return status;
    }
    ShareOut();
    int64_t available =
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemory();
    for (const auto& [file, share] : shares_) {
      absl::Status status = Prepare(file, share, available);
      if (!status.ok()) return status;
    }
    absl::Status status = Read();
    if (!status.ok()) return status;
    return std::move(views_);
  }

 private:
  // Gives every request to its file's share.
  void ShareOut() {
    std::vector<size_t> order;
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i].tensor->num_elements() > 0) order.push_back(i);
    }
    const auto tensor = [this](size_t i) -> const TensorInfo& {
      return *requests_[i].tensor;
    };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::make_pair(tensor(a).file, tensor(a).begin) <
             std::make_pair(tensor(b).file, tensor(b).begin);
    });
    std::map<int, int64_t> used_up_to;  // By file, of the tensors before.
    std::map<int, bool> reads_ranges;   // By file.
    for (const size_t i : order) {
      FileShare& share = shares_[tensor(i).file];
      int64_t& used = used_up_to[tensor(i).file];
      const bool overlaps = tensor(i).begin < used;
      used = std::max(used, tensor(i).end);
      total_bytes_ += tensor(i).nbytes();
      const auto [ranges, is_new] = reads_ranges.try_emplace(tensor(i).file);
      if (is_new) ranges->second = ReadsRanges(checkpoint_, tensor(i));
      if (!ranges->second && !overlaps &&
          requests_[i].dtype == tensor(i).dtype &&
          options_.sharing != Sharing::kPrivate) {
        share.viewed.push_back(i);
      } else if (!tensor(i).in_place || !ranges->second) {
        share.whole.push_back(i);
      } else if (overlaps || requests_[i].dtype != tensor(i).dtype) {
        share.converted.push_back(i);
      } else {
        share.as_stored.push_back(i);
      }
    }
  }

  FileFacts FactsOf(int file, const FileShare& share, int64_t available) const {
    const std::string& path = checkpoint_.files()[file].path;
    FileFacts facts = {.file_system = KindOfFileSystem(path),
                       .available_bytes = available};
    int64_t begin = INT64_MAX;
    int64_t end = 0;
    for (const auto* list : {&share.as_stored, &share.converted}) {
      for (const size_t i : *list) {
        begin = std::min(begin, requests_[i].tensor->begin);
        end = std::max(end, requests_[i].tensor->end);
        (list == &share.as_stored ? facts.mapped_bytes
                                  : facts.converted_bytes) +=
            ResultBytes(requests_[i]);
      }
    }
    for (const size_t i : share.whole) {
      facts.converted_bytes += ResultBytes(requests_[i]);
    }
    for (const size_t i : share.viewed) {
      facts.mapped_bytes += ResultBytes(requests_[i]);
    }
    if (begin >= end) return facts;
    if (facts.mapped_bytes + facts.converted_bytes > kSmallBytes) {
      facts.cached_fraction = CachedFraction(path, begin, end);
    }
    return facts;
  }

  // Decides how a file is read, makes memory, and lines its reads up.
  absl::Status Prepare(int file, const FileShare& share, int64_t& available) {
    const FileFacts facts = FactsOf(file, share, available);
    EngineChoice choice = ChooseEngine(facts, options_.sharing);
    if (options_.engine.has_value()) {
      choice.as_stored = *options_.engine;
      choice.converted = *options_.engine;
    }
    if (choice.converted == ReadEngine::kMapped ||
        choice.converted == ReadEngine::kWarmed) {
      choice.converted = ReadEngine::kBuffered;
    }
    absl::Status status = ViewAll(share.viewed);
    if (!share.viewed.empty()) choice.as_stored = ReadEngine::kMapped;
    if (status.ok()) status = PrepareAsStored(share.as_stored, choice);
    if (status.ok()) status = PrepareConverted(share.converted, choice);
    if (!status.ok()) return status;
    for (const size_t i : share.whole) whole_.push_back(i);
    available -= facts.converted_bytes;
    if (!IsMapped(choice.as_stored)) available -= facts.mapped_bytes;
    available = std::max<int64_t>(available, 0);
    report_.files.push_back({checkpoint_.files()[file].path, choice, facts});
    return absl::OkStatus();
  }

  static bool IsMapped(ReadEngine engine) {
    return engine == ReadEngine::kMapped || engine == ReadEngine::kWarmed;
  }

  // Has the checkpoint give views; sums up their bytes.
  absl::Status ViewAll(const std::vector<size_t>& numbers,
                       bool counts_as_done = true) {
    int64_t bytes = 0;
    for (const size_t i : numbers) {
      absl::StatusOr<TensorView> view = checkpoint_.View(*requests_[i].tensor);
      if (!view.ok()) return view.status();
      views_[i] = *std::move(view);
      bytes += views_[i].nbytes;
    }
    report_.mapped_bytes += bytes;
    if (counts_as_done) done_bytes_ += bytes;
    return absl::OkStatus();
  }

  absl::Status PrepareAsStored(const std::vector<size_t>& numbers,
                               EngineChoice& choice) {
    if (numbers.empty()) return absl::OkStatus();
    if (IsMapped(choice.as_stored)) {
      const bool is_done = choice.as_stored == ReadEngine::kMapped;
      absl::Status status = ViewAll(numbers, is_done);
      if (!status.ok() || is_done) return status;
    }
    absl::StatusOr<const FileSource*> source =
        Open(numbers[0], choice.as_stored);
    if (!source.ok()) return source.status();
    ReadPlan& plan = plans_.emplace_back(Plan(numbers, choice.as_stored));
    if (choice.as_stored == ReadEngine::kWarmed) {
      for (PlannedRead& read : plan.reads) {
        read.pieces.clear();  // The page cache keeps what is read.
        jobs_[choice.as_stored].push_back({*source, &read});
      }
      return absl::OkStatus();
    }
    return ReadIntoBlocks(**source, plan, numbers, choice.as_stored);
  }

  // Makes memory that lies as the file does, so that reads go right there.
  absl::Status ReadIntoBlocks(const FileSource& source, ReadPlan& plan,
                              const std::vector<size_t>& numbers,
                              ReadEngine engine) {
    struct Region {
      int64_t begin;
      int64_t end;
      std::shared_ptr<MemoryBlock> block;
    };
    std::vector<Region> regions;
    for (const PlannedRead& read : plan.reads) {
      const int64_t begin = read.begin / kDirectAlignment * kDirectAlignment;
      const int64_t end = (read.end + kDirectAlignment - 1) / kDirectAlignment *
                          kDirectAlignment;
      if (regions.empty() || begin > regions.back().end) {
        regions.push_back({begin, end, nullptr});
      }
      regions.back().end = std::max(regions.back().end, end);
    }
    for (Region& region : regions) {
      absl::StatusOr<std::shared_ptr<MemoryBlock>> block =
          MemoryBlock::Make(region.end - region.begin);
      if (!block.ok()) return block.status();
      region.block = *std::move(block);
    }
    const auto region_of = [&regions](int64_t offset) -> const Region& {
      return *std::prev(std::upper_bound(
          regions.begin(), regions.end(), offset,
          [](int64_t value, const Region& r) { return value < r.begin; }));
    };
    for (const PlannedRead& read : plan.reads) {
      const Region& region = region_of(read.begin);
      const int64_t begin =
          read.begin / source.alignment() * source.alignment();
      jobs_[engine].push_back(
          {.source = &source,
           .read = &read,
           .destination = region.block->data() + (begin - region.begin)});
    }
    for (const size_t i : numbers) {
      const TensorInfo& tensor = *requests_[i].tensor;
      const Region& region = region_of(tensor.begin);
      const int64_t begin = tensor.begin - region.begin;
      views_[i] = {.data = region.block->data() + begin,
                   .nbytes = tensor.nbytes(),
                   .owner = region.block->Part(begin, begin + tensor.nbytes())};
    }
    return absl::OkStatus();
  }

  absl::Status PrepareConverted(const std::vector<size_t>& numbers,
                                EngineChoice& choice) {
    if (numbers.empty()) return absl::OkStatus();
    absl::StatusOr<const FileSource*> source =
        Open(numbers[0], choice.converted);
    if (!source.ok()) return source.status();
    for (const size_t i : numbers) {
      absl::Status status = MakeMemory(i);
      if (!status.ok()) return status;
    }
    const ReadPlan& plan = plans_.emplace_back(Plan(numbers, choice.converted));
    for (const PlannedRead& read : plan.reads) {
      jobs_[choice.converted].push_back({*source, &read});
    }
    return absl::OkStatus();
  }

  absl::Status MakeMemory(size_t i) {
    const int64_t bytes = ResultBytes(requests_[i]);
    std::shared_ptr<void> memory = OwnMemory(bytes);
    if (memory == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat(
          checkpoint_.files()[requests_[i].tensor->file].path,
          ": no memory for the ", bytes, " bytes of tensor ",
          checkpoint_internal::QuotedName(requests_[i].tensor->name), " as ",
          DtypeName(requests_[i].dtype)));
    }
    views_[i] = {.data = memory.get(), .nbytes = bytes, .owner = memory};
    return absl::OkStatus();
  }

  ReadPlan Plan(const std::vector<size_t>& numbers, ReadEngine engine) const {
    std::vector<WantedRange> ranges;
    for (const size_t i : numbers) {
      const TensorInfo& tensor = *requests_[i].tensor;
      ranges.push_back({.tensor = i,
                        .file = tensor.file,
                        .begin = tensor.begin,
                        .end = tensor.end,
                        .element_bytes = DtypeSize(tensor.dtype)});
    }
    return PlanReads(std::move(ranges),
                     {.max_read_bytes = MaxReadBytesFor(engine)});
  }

  // The file of request `i` as `engine` reads it; where it cannot be read
  // direct, `engine` becomes buffered.
  absl::StatusOr<const FileSource*> Open(size_t i, ReadEngine& engine) {
    const TensorInfo& tensor = *requests_[i].tensor;
    if (engine == ReadEngine::kDirect) {
      absl::StatusOr<std::unique_ptr<FileSource>> direct =
          DirectSourceOfFile(checkpoint_, tensor);
      if (direct.ok()) return sources_.emplace_back(*std::move(direct)).get();
      if (!absl::IsUnimplemented(direct.status())) return direct.status();
      engine = ReadEngine::kBuffered;
    }
    return sources_.emplace_back(SourceOfFile(checkpoint_, tensor.file)).get();
  }

  absl::Status Read() {
    const int cpus = static_cast<int>(std::thread::hardware_concurrency());
    for (const auto& [engine, jobs] : jobs_) {
      int64_t bytes = 0;
      for (const ReadJob& job : jobs) bytes += job.read->nbytes();
      absl::Status status = RunReads(
          jobs,
          [this](const ReadPiece& piece, const char* data) {
            return Consume(piece, data);
          },
          {.num_threads = options_.num_threads > 0 ? options_.num_threads
                                                   : ThreadsFor(engine, cpus),
           .progress = [this](int64_t done) { Report(done_bytes_ + done); },
           .is_cancelled = options_.is_cancelled});
      if (!status.ok()) return status;
      done_bytes_ += bytes;
      report_.read_bytes += bytes;
    }
    for (const size_t i : whole_) {
      if (options_.is_cancelled && options_.is_cancelled()) {
        return absl::CancelledError("loading was cancelled by the caller");
      }
      absl::Status status = ReadWhole(i);
      if (!status.ok()) return status;
    }
    Report(total_bytes_);
    return absl::OkStatus();
  }

  absl::Status Consume(const ReadPiece& piece, const char* data) {
    const TensorRequest& request = requests_[piece.tensor];
    const int64_t size = DtypeSize(request.dtype);
    char* const destination = static_cast<char*>(views_[piece.tensor].data) +
                              piece.first_element * size;
    MakePages(destination, piece.num_elements * size);
    return Convert(request.tensor->dtype, data, request.dtype, destination,
                   piece.num_elements);
  }

  // A tensor that is not in place.
  absl::Status ReadWhole(size_t i) {
    const TensorRequest& request = requests_[i];
    const TensorInfo& tensor = *request.tensor;
    absl::Status status = MakeMemory(i);
    if (!status.ok()) return status;
    const auto bytes_of = [](const std::shared_ptr<void>& memory, int64_t n) {
      return absl::MakeSpan(static_cast<char*>(memory.get()), n);
    };
    if (request.dtype == tensor.dtype) {
      status =
          checkpoint_.Read(tensor, bytes_of(views_[i].owner, tensor.nbytes()));
    } else {
      const std::shared_ptr<void> stored = OwnMemory(tensor.nbytes());
      if (stored == nullptr) {
        return absl::ResourceExhaustedError(
            absl::StrCat("no memory to read tensor ",
                         checkpoint_internal::QuotedName(tensor.name)));
      }
      status = checkpoint_.Read(tensor, bytes_of(stored, tensor.nbytes()));
      if (status.ok()) {
        status = Convert(tensor.dtype, stored.get(), request.dtype,
                         views_[i].data, tensor.num_elements());
      }
    }
    if (!status.ok()) return status;
    done_bytes_ += tensor.nbytes();
    report_.read_bytes += tensor.end - tensor.begin;
    Report(done_bytes_);
    return absl::OkStatus();
  }

  void Report(int64_t done_bytes) {
    if (!options_.progress) return;
    options_.progress(std::min(done_bytes, total_bytes_), total_bytes_);
  }

  const Checkpoint& checkpoint_;
  const absl::Span<const TensorRequest> requests_;
  const LoaderOptions& options_;
  LoadReport& report_;

  std::map<int, FileShare> shares_;  // By file.
  std::deque<ReadPlan> plans_;
  std::vector<std::unique_ptr<FileSource>> sources_;
  std::map<ReadEngine, std::vector<ReadJob>> jobs_;
  std::vector<size_t> whole_;
  std::vector<TensorView> views_;  // One for each request.
  int64_t total_bytes_ = 0;
  int64_t done_bytes_ = 0;
};

}  // namespace

std::string LoadReport::Engines() const {
  std::vector<std::string> names;
  const auto add = [&names](ReadEngine engine) {
    const std::string name(ReadEngineName(engine));
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  };
  for (const File& file : files) {
    if (file.facts.mapped_bytes > 0) add(file.engines.as_stored);
    if (file.facts.converted_bytes > 0) add(file.engines.converted);
  }
  std::sort(names.begin(), names.end());
  std::string result;
  for (const std::string& name : names) {
    absl::StrAppend(&result, result.empty() ? "" : "+", name);
  }
  return result.empty() ? "buffered" : result;
}

absl::StatusOr<std::vector<TensorView>> LoadTensors(
    const Checkpoint& checkpoint, absl::Span<const TensorRequest> requests,
    const LoaderOptions& options, LoadReport* report) {
  const auto start = std::chrono::steady_clock::now();
  LoadReport unwanted;
  LoadReport& filled = report == nullptr ? unwanted : *report;
  filled = {};
  absl::StatusOr<std::vector<TensorView>> views =
      ShardLoader(checkpoint, requests, options, filled).Load();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - start;
  filled.seconds = took.count();
  return views;
}

}  // namespace pretrained
