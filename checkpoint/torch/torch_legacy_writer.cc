#include "checkpoint/torch/torch_legacy_writer.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/torch_pickle_writer.h"
#include "dtypes/dtype.h"

namespace pretrained {
namespace {

using checkpoint_internal::MakeStorageKeysPickle;
using checkpoint_internal::MakeTorchPickle;
using checkpoint_internal::TorchContainer;
using checkpoint_internal::TorchPickle;

// The pickles that every such file starts with: the magic number
// 0x1950a86a20f9469cfc6c, the protocol version 1001, and {"protocol_version":
// 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long":
// 4}}.
constexpr absl::string_view kMagic(
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
constexpr absl::string_view kProtocol("\x80\x02M\xe9\x03.", 6);
constexpr absl::string_view kSystem(
    "\x80\x02}q\x00("
    "X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03"
    "X\x0d\x00\x00\x00little_endianq\x02\x88"
    "X\x0a\x00\x00\x00type_sizesq\x03}q\x04("
    "X\x05\x00\x00\x00shortq\x05K\x02"
    "X\x03\x00\x00\x00intq\x06K\x04"
    "X\x04\x00\x00\x00longq\x07K\x04uu.",
    116);

// How many elements follow, as each storage starts: of its typed class, or
// bytes where torch has none.
std::string StorageHead(const TensorToWrite& tensor, int64_t nbytes) {
  const int64_t count = checkpoint_internal::HasTypedStorage(tensor.dtype)
                            ? nbytes / DtypeSize(tensor.dtype)
                            : nbytes;
  std::string head;
  for (int i = 0; i < 8; ++i) {
    head += static_cast<char>(static_cast<uint64_t>(count) >> (8 * i));
  }
  return head;
}

}  // namespace

absl::Status WriteTorchLegacy(const std::string& path,
                              absl::Span<const TensorToWrite> tensors) {
  const absl::StatusOr<TorchPickle> pickle =
      MakeTorchPickle(tensors, TorchContainer::kLegacy);
  if (!pickle.ok()) return NamingFile(path, pickle.status());
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  if (!file.ok()) return file.status();
  absl::Status status = file->Append(
      absl::StrCat(kMagic, kProtocol, kSystem, pickle->bytes,
                   MakeStorageKeysPickle(pickle->storages.size())));
  for (const size_t index : pickle->storages) {
    if (!status.ok()) break;
    const TensorToWrite& tensor = tensors[index];
    status = file->Append(StorageHead(tensor, *CheckedBytes(tensor)));
    if (!status.ok()) break;
    status = ProduceBytes(
        tensor, [&](absl::string_view piece) { return file->Append(piece); });
  }
  if (status.ok()) status = file->Commit();
  return NamingFile(path, status);
}

}  // namespace pretrained
