#include "checkpoint/torch/torch_zip_writer.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/file_writer.h"
#include "checkpoint/tensor_to_write.h"
#include "checkpoint/torch/torch_pickle_writer.h"
#include "checkpoint/torch/zip_writer.h"
#include "libdeflate.h"

namespace pretrained {
namespace {

using checkpoint_internal::MakeTorchPickle;
using checkpoint_internal::TorchContainer;
using checkpoint_internal::TorchPickle;
using checkpoint_internal::ZipEntry;
using checkpoint_internal::ZipWriter;

// 40 digits that tell archives apart: 20 from the records' names, 20 from their
// sizes and CRCs.
std::string SerializationId(absl::Span<const ZipEntry> entries) {
  uint32_t names = 0;
  uint32_t contents = 0;
  for (const ZipEntry& entry : entries) {
    names = libdeflate_crc32(names, entry.name.data(), entry.name.size());
    const std::string content = absl::StrCat(entry.nbytes, ":", entry.crc32);
    contents = libdeflate_crc32(contents, content.data(), content.size());
  }
  return absl::StrFormat("%020u%020u", names, contents);
}

absl::Status WriteRecords(absl::Span<const TensorToWrite> tensors,
                          const TorchPickle& pickle, ZipWriter& zip) {
  absl::Status status = zip.Add("archive/data.pkl", pickle.bytes);
  if (status.ok()) status = zip.Add("archive/byteorder", "little");
  for (size_t i = 0; i < pickle.storages.size() && status.ok(); ++i) {
    const TensorToWrite& tensor = tensors[pickle.storages[i]];
    status = zip.Begin(absl::StrCat("archive/data/", i), *CheckedBytes(tensor));
    if (status.ok()) {
      status = ProduceBytes(
          tensor, [&](absl::string_view piece) { return zip.Append(piece); });
    }
    if (status.ok()) status = zip.End();
  }
  if (status.ok()) status = zip.Add("archive/version", "3\n");
  if (status.ok()) {
    status = zip.Add("archive/.data/serialization_id",
                     SerializationId(zip.entries()));
  }
  if (status.ok()) status = zip.Finish();
  return status;
}

}  // namespace

absl::Status WriteTorchZip(const std::string& path,
                           absl::Span<const TensorToWrite> tensors) {
  const absl::StatusOr<TorchPickle> pickle =
      MakeTorchPickle(tensors, TorchContainer::kZip);
  if (!pickle.ok()) return NamingFile(path, pickle.status());
  absl::StatusOr<FileWriter> file = FileWriter::Create(path);
  if (!file.ok()) return file.status();
  ZipWriter zip(&*file);
  absl::Status status = WriteRecords(tensors, *pickle, zip);
  if (status.ok()) status = file->Commit();
  return NamingFile(path, status);
}

}  // namespace pretrained
