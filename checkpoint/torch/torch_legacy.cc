#include "checkpoint/torch/torch_legacy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_value.h"
#include "checkpoint/torch/little_endian.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/torch/torch_objects.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// 0x1950a86a20f9469cfc6c, lowest byte first.
constexpr absl::string_view kMagicNumber =
    "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kProtocolVersion = 1001;

// The first bytes that are read; then four times as many, until it suffices.
constexpr int64_t kFirstWindowBytes = int64_t{64} << 10;
constexpr int64_t kMaxWindowBytes = kMaxPickleBytes + kFirstWindowBytes;

constexpr int64_t kCountBytes = 8;  // Of the element count before a storage.

// One storage as the objects' pickle declares it where it is first mentioned.
struct DeclaredStorage {
  int64_t element_bytes = 0;
  int64_t count = 0;
};
using DeclaredStorages = absl::flat_hash_map<std::string, DeclaredStorage>;

// Bytes of an element of the storage class `name`, of torch or torch.cuda; 0 if
// there is no such class.
int64_t StorageElementBytes(absl::string_view name) {
  struct Class {
    absl::string_view name;
    int64_t element_bytes;
  };
  static constexpr Class kClasses[] = {
      {"DoubleStorage", 8},   {"FloatStorage", 4},
      {"HalfStorage", 2},     {"BFloat16Storage", 2},
      {"LongStorage", 8},     {"IntStorage", 4},
      {"ShortStorage", 2},    {"CharStorage", 1},
      {"ByteStorage", 1},     {"BoolStorage", 1},
      {"UntypedStorage", 1},  {"ComplexDoubleStorage", 16},
      {"QUInt8Storage", 1},   {"ComplexFloatStorage", 8},
      {"QInt8Storage", 1},    {"QInt32Storage", 4},
      {"QUInt4x2Storage", 1}, {"QUInt2x4Storage", 1},
  };
  for (const Class& c : kClasses) {
    if (c.name == name) return c.element_bytes;
  }
  return 0;
}

// Notes the storage that the persistent id ("storage", class, key, device,
// count, view) stands for, unless it was mentioned before.
void NoteStorage(PickleValue id, DeclaredStorages& storages) {
  const absl::Span<const PickleValue> fields = id.items();
  if (fields.size() < 5 || fields[0].text() != "storage" ||
      fields[1].global() == nullptr) {
    return;
  }
  DeclaredStorage storage;
  storage.element_bytes = StorageElementBytes(fields[1].global()->name);
  storage.count = fields[4].int_value();
  storages.try_emplace(std::string(fields[2].text()), storage);
}

// Every storage that `root` mentions, also inside of what nobody understands:
// the bytes of all of them are in the file, one behind the other.
DeclaredStorages FindStorages(PickleValue root) {
  DeclaredStorages storages;
  absl::flat_hash_set<const void*> seen;
  std::vector<PickleValue> pending = {root};
  const auto add_entries = [&](absl::Span<const PickleEntry> entries) {
    for (const PickleEntry& entry : entries) {
      pending.push_back(entry.value);
      pending.push_back(entry.key);
    }
  };
  const auto add_items = [&](absl::Span<const PickleValue> items) {
    pending.insert(pending.end(), items.begin(), items.end());
  };
  while (!pending.empty()) {
    const PickleValue value = pending.back();
    pending.pop_back();
    const void* const identity = value.identity();
    if (identity == nullptr || !seen.insert(identity).second) continue;
    if (value.is(PickleKind::kPersistent)) {
      NoteStorage(value.persistent_id(), storages);
    } else if (const PickleRecord* record = value.record()) {
      pending.push_back(record->callable());
      pending.push_back(record->kwargs());
      pending.push_back(record->state());
      add_items(record->args());
      add_items(record->items());
      add_entries(record->entries());
    } else {
      add_items(value.items());
      add_entries(value.entries());
    }
  }
  return storages;
}

// Pickles that follow each other from the start of a file.
class PickleStream {
 public:
  PickleStream(ReadAt read, int64_t file_size, absl::string_view file_name)
      : read_(read), file_size_(file_size), file_name_(file_name) {}

  // Reads the next pickle and hands it to `take`, while its bytes live. `what`
  // it is serves messages.
  absl::Status Next(absl::string_view what,
                    absl::FunctionRef<absl::Status(const Pickle&)> take);

  // The first byte behind the pickles that were read.
  int64_t position() const { return position_; }

 private:
  absl::Status Grow();

  ReadAt read_;
  const int64_t file_size_;
  const absl::string_view file_name_;
  std::vector<char> window_;  // The file's first bytes.
  int64_t position_ = 0;
};

absl::Status PickleStream::Next(
    absl::string_view what,
    absl::FunctionRef<absl::Status(const Pickle&)> take) {
  const std::string name =
      absl::StrCat(file_name_, ": ", what, " (from byte ", position_, " on)");
  while (true) {
    const absl::StatusOr<Pickle> pickle =
        Pickle::Parse(absl::string_view(window_.data() + position_,
                                        window_.size() - position_),
                      {.name = name});
    if (pickle.ok()) {
      position_ += pickle->bytes_consumed();
      return take(*pickle);
    }
    if (!absl::IsOutOfRange(pickle.status())) return pickle.status();
    const int64_t read = static_cast<int64_t>(window_.size());
    if (read == file_size_) {
      return absl::DataLossError(absl::StrCat(
          pickle.status().message(), "; download or save the file again"));
    }
    if (read >= kMaxWindowBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name, ": it does not end within ", kMaxPickleBytes,
                       " bytes; save the checkpoint again"));
    }
    if (absl::Status s = Grow(); !s.ok()) return s;
  }
}

absl::Status PickleStream::Grow() {
  const int64_t old_size = static_cast<int64_t>(window_.size());
  const int64_t new_size = std::min(
      {std::max(4 * old_size, kFirstWindowBytes), kMaxWindowBytes, file_size_});
  window_.resize(new_size);
  return read_(old_size, absl::MakeSpan(window_).subspan(old_size));
}

// One file, while it is read.
class LegacyReader {
 public:
  LegacyReader(ReadAt read, int64_t file_size, absl::string_view file_name)
      : read_(read),
        file_size_(file_size),
        file_name_(file_name),
        pickles_(read, file_size, file_name) {}

  absl::StatusOr<TorchFile> Read();

 private:
  absl::Status Bad(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(
        file_name_, ": ", what,
        "; the file is cut short or damaged: download or save it again"));
  }

  absl::Status ReadPreamble();
  absl::Status ReadObjects();
  absl::Status ReadKeys();
  absl::StatusOr<StoredBytes> LocateStorage(const std::string& key,
                                            int64_t at) const;
  absl::Status LocateStorages();

  ReadAt read_;
  const int64_t file_size_;
  const absl::string_view file_name_;
  PickleStream pickles_;
  DeclaredStorages declared_;
  std::vector<std::string> keys_;
  TorchFile file_;
};

// The magic number, the protocol version, and the system info: byte order and
// sizes of C types where the file was written, which nothing depends on, since
// storages are little-endian everywhere.
absl::Status LegacyReader::ReadPreamble() {
  absl::Status status =
      pickles_.Next("magic number", [&](const Pickle& pickle) -> absl::Status {
        if (pickle.root().is(PickleKind::kBigInt) &&
            pickle.root().text() == kMagicNumber) {
          return absl::OkStatus();
        }
        return absl::DataLossError(absl::StrCat(
            file_name_,
            ": is a pickle, but not of torch.save, which begins with its "
            "magic number; save the tensors again with torch.save"));
      });
  if (!status.ok()) return status;
  status = pickles_.Next(
      "protocol version", [&](const Pickle& pickle) -> absl::Status {
        const PickleValue version = pickle.root();
        if (version.is(PickleKind::kInt) &&
            version.int_value() == kProtocolVersion) {
          return absl::OkStatus();
        }
        return Bad(absl::StrCat("its protocol version is not ",
                                kProtocolVersion, ", the only one there is"));
      });
  if (!status.ok()) return status;
  return pickles_.Next("system info",
                       [](const Pickle&) { return absl::OkStatus(); });
}

absl::Status LegacyReader::ReadObjects() {
  return pickles_.Next("objects", [&](const Pickle& pickle) -> absl::Status {
    absl::StatusOr<TorchObjects> objects = ReadTorchObjects(pickle, file_name_);
    if (!objects.ok()) return objects.status();
    file_.objects = *std::move(objects);
    declared_ = FindStorages(pickle.root());
    return absl::OkStatus();
  });
}

absl::Status LegacyReader::ReadKeys() {
  return pickles_.Next("storage keys", [&](const Pickle& pickle) {
    absl::flat_hash_set<absl::string_view> seen;
    const PickleValue list = pickle.root();
    if (!list.is(PickleKind::kList)) {
      return Bad("what follows the objects is no list of storage keys");
    }
    keys_.reserve(list.items().size());
    for (const PickleValue& key : list.items()) {
      if (!key.is(PickleKind::kString) && !key.is(PickleKind::kBytes)) {
        return Bad(absl::StrCat("storage key ", keys_.size(), " is no text"));
      }
      if (!seen.insert(key.text()).second) {
        return Bad(absl::StrCat("storage ", QuotedName(key.text()),
                                " is listed twice, but stored once"));
      }
      keys_.emplace_back(key.text());
    }
    return absl::OkStatus();
  });
}

// Where the storage `key` is whose count is at byte `at`.
absl::StatusOr<StoredBytes> LegacyReader::LocateStorage(const std::string& key,
                                                        int64_t at) const {
  const auto declared = declared_.find(key);
  if (declared == declared_.end() || declared->second.element_bytes == 0) {
    return Bad(absl::StrCat("storage ", QuotedName(key),
                            " is stored, but the objects do not say what its "
                            "elements are"));
  }
  const DeclaredStorage& storage = declared->second;
  if (file_size_ - at < kCountBytes) {
    return Bad(absl::StrCat("byte ", at, ": storage ", QuotedName(key),
                            " should be here, but the file has ", file_size_,
                            " bytes"));
  }
  char bytes[kCountBytes];
  absl::Status status = read_(at, absl::MakeSpan(bytes));
  if (!status.ok()) return status;
  const uint64_t count = LoadLittleEndian<uint64_t>(bytes);
  if (storage.count < 0 || count != static_cast<uint64_t>(storage.count)) {
    return Bad(absl::StrCat("byte ", at, ": storage ", QuotedName(key), " has ",
                            count, " elements, but the objects say ",
                            storage.count));
  }
  const int64_t begin = at + kCountBytes;
  if (count >
      static_cast<uint64_t>((file_size_ - begin) / storage.element_bytes)) {
    return Bad(absl::StrCat("byte ", at, ": storage ", QuotedName(key), " has ",
                            count, " elements of ", storage.element_bytes,
                            " bytes, but only ", file_size_ - begin,
                            " bytes follow"));
  }
  const int64_t size = static_cast<int64_t>(count) * storage.element_bytes;
  return StoredBytes{begin, begin + size, size, /*deflated=*/false};
}

absl::Status LegacyReader::LocateStorages() {
  absl::flat_hash_map<absl::string_view, StoredBytes> places;
  int64_t at = pickles_.position();
  for (const std::string& key : keys_) {
    const absl::StatusOr<StoredBytes> place = LocateStorage(key, at);
    if (!place.ok()) return place.status();
    places.emplace(key, *place);
    at = place->end;
  }
  for (const TorchStorage& storage : file_.objects.storages) {
    const auto it = places.find(storage.key);
    if (it == places.end()) {
      return Bad(absl::StrCat("storage ", QuotedName(storage.key),
                              " is not stored, but tensors need it"));
    }
    if (it->second.size < storage.nbytes) {
      return Bad(absl::StrCat("storage ", QuotedName(storage.key), " has ",
                              it->second.size, " bytes, but tensors need ",
                              storage.nbytes));
    }
    file_.storages.push_back(it->second);
  }
  return absl::OkStatus();
}

absl::StatusOr<TorchFile> LegacyReader::Read() {
  file_.legacy = true;
  if (absl::Status s = ReadPreamble(); !s.ok()) return s;
  if (absl::Status s = ReadObjects(); !s.ok()) return s;
  if (absl::Status s = ReadKeys(); !s.ok()) return s;
  if (absl::Status s = LocateStorages(); !s.ok()) return s;
  return std::move(file_);
}

}  // namespace

absl::StatusOr<TorchFile> ReadTorchLegacy(ReadAt read, int64_t file_size,
                                          absl::string_view file_name) {
  return LegacyReader(read, file_size, file_name).Read();
}

}  // namespace checkpoint_internal
}  // namespace pretrained
