#include "checkpoint/torch/torch_zip.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/torch/read_at.h"
#include "checkpoint/torch/torch_file.h"
#include "checkpoint/torch/torch_objects.h"
#include "checkpoint/torch/zip_directory.h"
#include "checkpoint/torch/zip_record.h"

namespace pretrained {
namespace checkpoint_internal {
namespace {

// Of the records that hold a word or a number.
constexpr int64_t kMaxWordBytes = 64;

// Versions of the container that torch 2.1 reads. Nothing that torch.save
// writes differs between them.
constexpr uint64_t kMinVersion = 1;
constexpr uint64_t kMaxVersion = 10;

constexpr absl::string_view kSaveAgain =
    "; save the checkpoint again with torch.save";

// One archive, while it is read.
class TorchZipReader {
 public:
  TorchZipReader(ReadAt read, const ZipDirectory& directory,
                 absl::string_view file_name, bool check_crc)
      : read_(read),
        directory_(directory),
        file_name_(file_name),
        check_crc_(check_crc) {}

  absl::StatusOr<TorchFile> Read();

 private:
  absl::Status Bad(absl::string_view what) const {
    return absl::DataLossError(
        absl::StrCat(file_name_, ": ", what, kSaveAgain));
  }
  const ZipRecord* Find(absl::string_view name) const {
    return directory_.Find(absl::StrCat(folder_, name));
  }

  absl::Status FindFolder();
  absl::Status CheckKind() const;
  absl::StatusOr<std::string> Content(const ZipRecord& record,
                                      int64_t max_bytes) const;
  absl::Status CheckVersion() const;
  absl::StatusOr<bool> IsBigEndian() const;
  absl::StatusOr<TorchObjects> ReadObjects() const;
  absl::StatusOr<StoredBytes> FindStorage(const TorchStorage& storage) const;

  ReadAt read_;
  const ZipDirectory& directory_;
  const absl::string_view file_name_;
  const bool check_crc_;
  absl::string_view folder_;  // With its slash: "archive/".
};

// All records have to be below one folder: tools that look into an archive go
// by names, torch by the folder of the first record alone.
absl::Status TorchZipReader::FindFolder() {
  if (directory_.records().empty()) {
    return Bad("the archive is empty, but has to hold data.pkl");
  }
  const absl::string_view first = directory_.records()[0].name;
  const size_t slash = first.find('/');
  if (slash == absl::string_view::npos) {
    return Bad(absl::StrCat("record ", QuotedName(first),
                            ": it lies in no folder, but torch.save puts all "
                            "records into one; is this another kind of zip "
                            "archive?"));
  }
  folder_ = first.substr(0, slash + 1);
  for (const ZipRecord& record : directory_.records()) {
    if (!absl::StartsWith(record.name, folder_)) {
      return Bad(absl::StrCat("record ", QuotedName(record.name),
                              ": it lies outside the folder ",
                              QuotedName(folder_),
                              " of the first record, but torch.save puts all "
                              "records into one"));
    }
  }
  return absl::OkStatus();
}

absl::Status TorchZipReader::CheckKind() const {
  if (Find("constants.pkl") != nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        file_name_,
        ": is a TorchScript archive (torch.jit.save), not a state dict; load "
        "it with torch.jit.load and torch.save its state_dict()"));
  }
  if (Find("data.pkl") == nullptr) {
    return Bad(absl::StrCat("the archive has no record ",
                            QuotedName(absl::StrCat(folder_, "data.pkl")),
                            ", which says what tensors there are"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> TorchZipReader::Content(const ZipRecord& record,
                                                    int64_t max_bytes) const {
  if (record.size > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(file_name_, ": record ", QuotedName(record.name),
                     ": it has ", record.size, " bytes, but at most ",
                     max_bytes, " are read", kSaveAgain));
  }
  std::string content(record.size, '\0');
  if (check_crc_) {
    absl::Status status = CheckZipRecord(read_, record, file_name_);
    if (!status.ok()) return status;
  }
  absl::Status status =
      ReadZipRecord(read_, record, file_name_, absl::MakeSpan(content));
  if (!status.ok()) return status;
  return content;
}

absl::Status TorchZipReader::CheckVersion() const {
  // torch.package moved the record; torch.load accepts either.
  const ZipRecord* record = Find(".data/version");
  if (record == nullptr) record = Find("version");
  if (record == nullptr) {
    return Bad(absl::StrCat("the archive has no record ",
                            QuotedName(absl::StrCat(folder_, "version")),
                            ", which torch.load needs"));
  }
  const absl::StatusOr<std::string> text = Content(*record, kMaxWordBytes);
  if (!text.ok()) return text.status();
  uint64_t version = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &version) ||
      version < kMinVersion) {
    return Bad(absl::StrCat("record ", QuotedName(record->name), ": ",
                            QuotedName(*text), " is no version"));
  }
  if (version > kMaxVersion) {
    return absl::UnimplementedError(absl::StrCat(
        file_name_, ": record ", QuotedName(record->name), ": version ",
        version, " of the container is not known, but at most ", kMaxVersion,
        "; save the checkpoint with an older PyTorch"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TorchZipReader::IsBigEndian() const {
  const ZipRecord* const record = Find("byteorder");
  if (record == nullptr) return false;  // Written by PyTorch before 2.1.
  const absl::StatusOr<std::string> text = Content(*record, kMaxWordBytes);
  if (!text.ok()) return text.status();
  if (*text != "little" && *text != "big") {
    return Bad(absl::StrCat("record ", QuotedName(record->name), ": ",
                            QuotedName(*text),
                            " is no byte order, but 'little' and 'big' are"));
  }
  return *text == "big";
}

absl::StatusOr<TorchObjects> TorchZipReader::ReadObjects() const {
  const ZipRecord& record = *Find("data.pkl");
  const absl::StatusOr<std::string> bytes = Content(
      record, record.deflated ? kMaxInflatedPickleBytes : kMaxPickleBytes);
  if (!bytes.ok()) return bytes.status();
  const std::string name = absl::StrCat(file_name_, ": data.pkl");
  const absl::StatusOr<Pickle> pickle = Pickle::Parse(*bytes, {.name = name});
  if (absl::IsOutOfRange(pickle.status())) {
    return absl::DataLossError(
        absl::StrCat(pickle.status().message(), kSaveAgain));
  }
  if (!pickle.ok()) return pickle.status();
  return ReadTorchObjects(*pickle, file_name_);
}

absl::StatusOr<StoredBytes> TorchZipReader::FindStorage(
    const TorchStorage& storage) const {
  const std::string name = absl::StrCat(folder_, "data/", storage.key);
  const ZipRecord* const record = directory_.Find(name);
  if (record == nullptr) {
    return Bad(absl::StrCat("the archive has no record ", QuotedName(name),
                            ", but data.pkl has tensors in it"));
  }
  if (record->size < storage.nbytes) {
    return Bad(absl::StrCat("record ", QuotedName(name), ": it has ",
                            record->size, " bytes, but data.pkl says ",
                            storage.nbytes));
  }
  if (check_crc_) {
    absl::Status status = CheckZipRecord(read_, *record, file_name_);
    if (!status.ok()) return status;
  }
  return StoredBytes{record->begin, record->end, record->size,
                     record->deflated};
}

absl::StatusOr<TorchFile> TorchZipReader::Read() {
  if (absl::Status s = FindFolder(); !s.ok()) return s;
  if (absl::Status s = CheckKind(); !s.ok()) return s;
  if (absl::Status s = CheckVersion(); !s.ok()) return s;
  const absl::StatusOr<bool> big_endian = IsBigEndian();
  if (!big_endian.ok()) return big_endian.status();
  absl::StatusOr<TorchObjects> objects = ReadObjects();
  if (!objects.ok()) return objects.status();

  TorchFile file;
  file.big_endian = *big_endian;
  file.objects = *std::move(objects);
  file.storages.reserve(file.objects.storages.size());
  for (const TorchStorage& storage : file.objects.storages) {
    const absl::StatusOr<StoredBytes> bytes = FindStorage(storage);
    if (!bytes.ok()) return bytes.status();
    file.storages.push_back(*bytes);
  }
  return file;
}

}  // namespace

absl::StatusOr<TorchFile> ReadTorchZip(ReadAt read, int64_t file_size,
                                       absl::string_view file_name,
                                       bool check_crc) {
  const absl::StatusOr<ZipDirectory> directory =
      ZipDirectory::Read(read, file_size, file_name);
  if (!directory.ok()) return directory.status();
  return TorchZipReader(read, *directory, file_name, check_crc).Read();
}

}  // namespace checkpoint_internal
}  // namespace pretrained
