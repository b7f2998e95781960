#ifndef PRETRAINED_CHECKPOINT_SAFETENSORS_READER_H_
#define PRETRAINED_CHECKPOINT_SAFETENSORS_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/tensor_table.h"

namespace pretrained {

// Finds tensors in one safetensors file by name, without reading their data.
//
//   auto reader = SafetensorsReader::Open("model-00001-of-00002.safetensors");
//   if (!reader.ok()) return reader.status();
//   absl::StatusOr<const TensorInfo*> wte = reader->Find("wte.weight");
//
// The file is not trusted. Once Open() returns OK the tensors tile the data
// part: each lies inside the file, none overlap, no byte is left over, and each
// length is what dtype and shape call for. Callers may map or copy [begin, end)
// without checking again.
//
// Cost: Open() reads 64 bytes and the header, and uses memory in proportion to
//     the header; one over 100 MB, or longer than the file, is refused unread.
//     See safetensors_reader_benchmark.cc.
// Threads: immutable; any number of threads may share one.
// Lifetime: infos live as long as their reader, which keeps no file open.
// Layout: docs/safetensors_format.md.
// Matches: transformers 4.34 modeling_utils.py `load_state_dict` (`safe_open`).
// Differs: accepts a file without `__metadata__`; there it is AttributeError.
//     Refuses, as the format's specification does and that reader does not, a
//     tensor name that occurs twice and a header that begins with a space.
class SafetensorsReader {
 public:
  // Reads and checks the header of the file at `path`.
  //   kNotFound, kPermissionDenied, kInvalidArgument  as MappedFile::Open()
  //   kDataLoss       the file is cut short, contradicts itself, or is
  //                   something else altogether (a Git LFS pointer, ..)
  //   kUnimplemented  a dtype this build does not know
  static absl::StatusOr<SafetensorsReader> Open(const std::string& path);

  // As Open(), from a file that is open already.
  static absl::StatusOr<SafetensorsReader> ReadFrom(const MappedFile& file);

  // As Open(), on memory: `head` is the start, at least through the header, of
  // a file of `file_size` bytes. Pure; `file_name` serves only in messages.
  // kInvalidArgument if `head` is shorter than that while the file is not.
  // Tests and the fuzzer enter here.
  static absl::StatusOr<SafetensorsReader> Parse(absl::string_view head,
                                                 int64_t file_size,
                                                 absl::string_view file_name);

  // In the order of their bytes; empty ones before the one that begins where
  // they are, in header order. TensorInfo::file is 0.
  absl::Span<const TensorInfo> tensors() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return table_.tensors();
  }

  // The entries of `__metadata__` in header order; empty if it is absent, null
  // or empty.
  absl::Span<const std::pair<std::string, std::string>> metadata() const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return metadata_;
  }

  // kNotFound, with the file and the closest name it has, if `name` is absent.
  absl::StatusOr<const TensorInfo*> Find(absl::string_view name) const
      ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return table_.Find(name, file_name_);
  }

  // Where the data part begins: 8 bytes and the header's length.
  int64_t data_begin() const { return data_begin_; }

  // Gives the list of tensors up, to a driver that goes on to serve it.
  TensorTable ReleaseTable() && { return std::move(table_); }

 private:
  SafetensorsReader() = default;

  // `json` is the header alone. If `padded`, as many bytes as simdjson wants
  // may be read behind it; otherwise the parser makes its own copy.
  static absl::StatusOr<SafetensorsReader> ParseHeader(
      absl::string_view json, bool padded, int64_t file_size,
      absl::string_view file_name);

  std::string file_name_;  // For messages.
  int64_t data_begin_ = 0;
  TensorTable table_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAFETENSORS_READER_H_
