#include "checkpoint/loading/shard_loader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/error_text.h"
#include "checkpoint/loading/engine_choice.h"
#include "checkpoint/loading/file_image.h"
#include "checkpoint/loading/file_inspector.h"
#include "checkpoint/loading/file_source.h"
#include "checkpoint/loading/read_plan.h"
#include "checkpoint/loading/run_reads.h"
#include "checkpoint/loading/tensor_memory.h"
#include "checkpoint/loading/tensor_request.h"
#include "checkpoint/make_pages.h"
#include "dtypes/convert.h"
#include "dtypes/dtype.h"
#include "system/available_memory.h"

namespace pretrained {
namespace {

bool IsMapped(ReadEngine engine) {
  return engine == ReadEngine::kMapped || engine == ReadEngine::kWarmed;
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
        inspector_(checkpoint, requests, options.wrap_source),
        views_(requests.size()) {}

  absl::StatusOr<std::vector<TensorView>> Load() {
    for (const TensorRequest& request : requests_) {
      absl::Status status = CheckRequest(checkpoint_, request);
      if (!status.ok()) return status;
      total_bytes_ += StoredBytes(request);
    }
    const std::map<int, FileShare> shares =
        ShareOut(checkpoint_, requests_, options_.sharing != Sharing::kPrivate);
    int64_t available =
        options_.memory_bytes > 0
            ? options_.memory_bytes
            : AvailableMemory().value_or(std::numeric_limits<int64_t>::max());
    report_.files.reserve(shares.size());
    for (const auto& [file, share] : shares) {
      absl::Status status = Prepare(file, share, available);
      if (!status.ok()) return status;
    }
    absl::Status status = Read();
    if (status.ok()) status = checkpoint_.CheckFilesUnchanged();
    if (!status.ok()) return status;
    return std::move(views_);
  }

 private:
  // The reads of one engine.
  struct Batch {
    std::vector<ReadJob> jobs;
    std::optional<absl::Duration> latency;  // The longest of its files'.
  };
  // When a file was read, by its number.
  struct Clock {
    absl::Time begin = absl::InfiniteFuture();
    absl::Time end = absl::InfinitePast();
    int64_t bytes = 0;
  };

  std::unique_ptr<FileSource> Wrapped(
      std::unique_ptr<FileSource> source) const {
    return options_.wrap_source ? options_.wrap_source(std::move(source))
                                : std::move(source);
  }

  std::unique_ptr<FileSource> Buffered(int file) const {
    return Wrapped(BufferedSource(checkpoint_.FileDescriptor(file),
                                  checkpoint_.files()[file].path));
  }

  // Decides how a file is read, makes memory, and lines its reads up.
  absl::Status Prepare(int file, const FileShare& share, int64_t& available) {
    const FileFacts facts = inspector_.Inspect(file, share, available);
    EngineChoice choice = ChooseEngine(facts, options_.sharing);
    if (options_.engine.has_value()) {
      choice.as_stored = *options_.engine;
      choice.converted = *options_.engine;
    }
    if (IsMapped(choice.converted)) choice.converted = ReadEngine::kBuffered;
    if (!share.viewed.empty()) choice.as_stored = ReadEngine::kMapped;
    absl::Status status = ViewAll(share.viewed);
    if (status.ok()) {
      status = PrepareAsStored(file, share.as_stored, facts, choice);
    }
    if (status.ok()) {
      status = PrepareConverted(file, share.converted, facts, choice);
    }
    if (!status.ok()) return status;
    for (const size_t i : share.whole) whole_.push_back(i);
    available -= facts.converted_bytes;
    if (!IsMapped(choice.as_stored)) available -= facts.mapped_bytes;
    available = std::max<int64_t>(available, 0);
    report_.files.push_back({.path = checkpoint_.files()[file].path,
                             .engines = choice,
                             .facts = facts});
    numbers_of_files_.push_back(file);
    return absl::OkStatus();
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

  absl::Status PrepareAsStored(int file, const std::vector<size_t>& numbers,
                               const FileFacts& facts, EngineChoice& choice) {
    if (numbers.empty()) return absl::OkStatus();
    if (IsMapped(choice.as_stored)) {
      const bool is_done = choice.as_stored == ReadEngine::kMapped;
      absl::Status status = ViewAll(numbers, is_done);
      if (!status.ok() || is_done) return status;
    }
    const FileSource& source = Open(file, choice.as_stored);
    absl::StatusOr<ReadPlan*> plan = Plan(numbers, choice.as_stored);
    if (!plan.ok()) return plan.status();
    Batch& batch = BatchOf(choice.as_stored, facts);
    if (choice.as_stored == ReadEngine::kWarmed) {
      for (PlannedRead& read : (*plan)->reads) {
        read.pieces.clear();  // The page cache keeps what is read.
        batch.jobs.push_back({&source, &read});
      }
      return absl::OkStatus();
    }
    // Reads go right to where the tensors stay.
    absl::StatusOr<FileImage> image = FileImage::Make(**plan);
    if (!image.ok()) return image.status();
    for (const PlannedRead& read : (*plan)->reads) {
      const int64_t begin =
          read.begin / source.alignment() * source.alignment();
      batch.jobs.push_back(
          {.source = &source, .read = &read, .destination = image->At(begin)});
    }
    for (const size_t i : numbers) {
      const TensorInfo& tensor = *requests_[i].tensor;
      views_[i] = {.data = image->At(tensor.begin),
                   .nbytes = tensor.nbytes(),
                   .owner = image->Part(tensor.begin, tensor.end)};
    }
    return absl::OkStatus();
  }

  absl::Status PrepareConverted(int file, const std::vector<size_t>& numbers,
                                const FileFacts& facts, EngineChoice& choice) {
    if (numbers.empty()) return absl::OkStatus();
    for (const size_t i : numbers) {
      absl::Status status = MakeMemory(i);
      if (!status.ok()) return status;
    }
    const FileSource& source = Open(file, choice.converted);
    absl::StatusOr<ReadPlan*> plan = Plan(numbers, choice.converted);
    if (!plan.ok()) return plan.status();
    Batch& batch = BatchOf(choice.converted, facts);
    for (const PlannedRead& read : (*plan)->reads) {
      batch.jobs.push_back({&source, &read});
    }
    return absl::OkStatus();
  }

  absl::Status MakeMemory(size_t i) {
    const TensorRequest& request = requests_[i];
    const int64_t bytes = ResultBytes(request);
    if (request.destination.data() != nullptr) {
      views_[i] = {.data = request.destination.data(), .nbytes = bytes};
      return absl::OkStatus();
    }
    std::shared_ptr<void> memory = MakeTensorMemory(bytes);
    if (memory == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat(checkpoint_.files()[request.tensor->file].path,
                       ": no memory for the ", bytes, " bytes of tensor ",
                       checkpoint_internal::QuotedName(request.tensor->name),
                       " as ", DtypeName(request.dtype)));
    }
    views_[i] = {.data = memory.get(), .nbytes = bytes, .owner = memory};
    return absl::OkStatus();
  }

  absl::StatusOr<ReadPlan*> Plan(const std::vector<size_t>& numbers,
                                 ReadEngine engine) {
    std::vector<WantedRange> ranges;
    for (const size_t i : numbers) {
      absl::StatusOr<std::vector<WantedRange>> more =
          RangesOf(*requests_[i].tensor, i, requests_[i].slice);
      if (!more.ok()) return more.status();
      ranges.insert(ranges.end(), more->begin(), more->end());
    }
    return &plans_.emplace_back(PlanReads(
        std::move(ranges), {.max_read_bytes = MaxReadBytesFor(engine)}));
  }

  Batch& BatchOf(ReadEngine engine, const FileFacts& facts) {
    Batch& batch = batches_[engine];
    batch.latency = std::max(batch.latency, facts.latency);
    return batch;
  }

  // The file as `engine` reads it; where it cannot be read direct, a direct
  // `engine` becomes buffered.
  const FileSource& Open(int file, ReadEngine& engine) {
    if (engine == ReadEngine::kDirect || engine == ReadEngine::kStreaming) {
      absl::StatusOr<std::unique_ptr<FileSource>> direct = DirectSource(
          checkpoint_.FileDescriptor(file), checkpoint_.files()[file].path);
      if (direct.ok()) return Keep(file, Wrapped(*std::move(direct)));
      if (engine == ReadEngine::kDirect) engine = ReadEngine::kBuffered;
    }
    return Keep(file, Buffered(file));
  }

  const FileSource& Keep(int file, std::unique_ptr<FileSource> source) {
    sources_.push_back(std::move(source));
    file_of_[sources_.back().get()] = file;
    return *sources_.back();
  }

  absl::Status Read() {
    const int cpus = static_cast<int>(std::thread::hardware_concurrency());
    for (const auto& [engine, batch] : batches_) {
      int64_t bytes = 0;
      for (const ReadJob& job : batch.jobs) bytes += job.read->nbytes();
      absl::Status status = RunReads(
          batch.jobs,
          [this](const ReadPiece& piece, const char* data) {
            return Consume(piece, data);
          },
          {.num_threads = options_.num_threads > 0
                              ? options_.num_threads
                              : ThreadsFor(engine, cpus, batch.latency),
           .progress = [this](int64_t done) { Report(done_bytes_ + done); },
           .finished = [this](const ReadJob& job, absl::Time begin,
                              absl::Time end) { Note(job, begin, end); },
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
    ReportFiles();
    Report(total_bytes_);
    return absl::OkStatus();
  }

  absl::Status Consume(const ReadPiece& piece, const char* data) {
    const TensorRequest& request = requests_[piece.tensor];
    const int64_t size = DtypeSize(request.dtype);
    char* const destination = static_cast<char*>(views_[piece.tensor].data) +
                              piece.first_element * size;
    // A caller's memory is his to make.
    if (request.destination.data() == nullptr) {
      MakePages(destination, piece.num_elements * size);
    }
    return Convert(request.tensor->dtype, data, request.dtype, destination,
                   piece.num_elements);
  }

  // A tensor that is not in place, or in memory.
  absl::Status ReadWhole(size_t i) {
    const TensorRequest& request = requests_[i];
    const TensorInfo& tensor = *request.tensor;
    const absl::Time begin = absl::Now();
    absl::Status status = MakeMemory(i);
    if (!status.ok()) return status;
    void* const result = views_[i].data;
    const int64_t stored_bytes = StoredBytes(request);
    if (request.dtype == tensor.dtype) {
      status = ReadStored(request, static_cast<char*>(result), stored_bytes);
    } else {
      const std::shared_ptr<void> stored = MakeTensorMemory(stored_bytes);
      if (stored == nullptr) {
        return absl::ResourceExhaustedError(
            absl::StrCat("no memory to read tensor ",
                         checkpoint_internal::QuotedName(tensor.name)));
      }
      status =
          ReadStored(request, static_cast<char*>(stored.get()), stored_bytes);
      if (status.ok()) {
        status = Convert(tensor.dtype, stored.get(), request.dtype, result,
                         NumElements(request));
      }
    }
    if (!status.ok()) return status;
    done_bytes_ += stored_bytes;
    report_.read_bytes += tensor.end - tensor.begin;
    Note(tensor.file, tensor.end - tensor.begin, begin, absl::Now());
    Report(done_bytes_);
    return absl::OkStatus();
  }

  absl::Status ReadStored(const TensorRequest& request, char* data,
                          int64_t bytes) const {
    const absl::Span<char> destination(data, bytes);
    return request.slice.empty()
               ? checkpoint_.Read(*request.tensor, destination)
               : checkpoint_.ReadSlice(*request.tensor, request.slice,
                                       destination);
  }

  void Note(const ReadJob& job, absl::Time begin, absl::Time end)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    Note(file_of_.at(job.source), job.read->nbytes(), begin, end);
  }
  void Note(int file, int64_t bytes, absl::Time begin, absl::Time end)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    Clock& clock = clocks_[file];
    clock.begin = std::min(clock.begin, begin);
    clock.end = std::max(clock.end, end);
    clock.bytes += bytes;
  }

  void ReportFiles() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < report_.files.size(); ++i) {
      const auto clock = clocks_.find(numbers_of_files_[i]);
      if (clock == clocks_.end()) continue;
      report_.files[i].read_bytes = clock->second.bytes;
      report_.files[i].seconds =
          absl::ToDoubleSeconds(clock->second.end - clock->second.begin);
    }
  }

  void Report(int64_t done_bytes) {
    if (!options_.progress) return;
    options_.progress(std::min(done_bytes, total_bytes_), total_bytes_);
  }

  const Checkpoint& checkpoint_;
  const absl::Span<const TensorRequest> requests_;
  const LoaderOptions& options_;
  LoadReport& report_;
  FileInspector inspector_;

  std::deque<ReadPlan> plans_;
  std::vector<std::unique_ptr<FileSource>> sources_;
  std::map<const FileSource*, int> file_of_;
  std::map<ReadEngine, Batch> batches_;
  std::vector<size_t> whole_;
  std::vector<TensorView> views_;      // One for each request.
  std::vector<int> numbers_of_files_;  // One for each of report_.files.
  int64_t total_bytes_ = 0;
  int64_t done_bytes_ = 0;

  absl::Mutex mutex_;
  std::map<int, Clock> clocks_ ABSL_GUARDED_BY(mutex_);
};

void AddEngines(const LoadReport::File& file,
                std::set<absl::string_view>& names) {
  if (file.facts.mapped_bytes > 0) {
    names.insert(ReadEngineName(file.engines.as_stored));
  }
  if (file.facts.converted_bytes > 0) {
    names.insert(ReadEngineName(file.engines.converted));
  }
}

}  // namespace

std::string LoadReport::File::Engines() const {
  std::set<absl::string_view> names;
  AddEngines(*this, names);
  return absl::StrJoin(names, "+");
}

double LoadReport::File::gb_per_second() const {
  return seconds > 0 ? static_cast<double>(read_bytes) / 1e9 / seconds : 0;
}

std::string LoadReport::Engines() const {
  std::set<absl::string_view> names;
  for (const File& file : files) AddEngines(file, names);
  return names.empty() ? "buffered" : absl::StrJoin(names, "+");
}

absl::StatusOr<std::vector<TensorView>> LoadTensors(
    const Checkpoint& checkpoint, absl::Span<const TensorRequest> requests,
    const LoaderOptions& options, LoadReport* report) {
  const absl::Time start = absl::Now();
  LoadReport unwanted;
  LoadReport& filled = report == nullptr ? unwanted : *report;
  filled = {};
  absl::StatusOr<std::vector<TensorView>> views =
      ShardLoader(checkpoint, requests, options, filled).Load();
  filled.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return views;
}

}  // namespace pretrained
