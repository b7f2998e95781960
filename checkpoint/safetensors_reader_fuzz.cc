// Any bytes at all: SafetensorsReader either refuses them with one of the codes
// it documents, or what it lists is as safe to use as it promises.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_reader.h"
#include "dtypes/dtype.h"

namespace {

using pretrained::SafetensorsReader;
using pretrained::TensorInfo;

void CheckReader(const SafetensorsReader& reader, int64_t file_size) {
  int64_t covered = reader.data_begin();
  for (const TensorInfo& tensor : reader.tensors()) {
    CHECK_EQ(tensor.begin, covered);
    CHECK_LE(tensor.begin, tensor.end);
    CHECK_EQ(tensor.num_elements() * pretrained::DtypeSize(tensor.dtype),
             tensor.nbytes());
    const absl::StatusOr<const TensorInfo*> found = reader.Find(tensor.name);
    CHECK_OK(found.status());
    CHECK_EQ(*found, &tensor);
    covered = tensor.end;
  }
  CHECK_EQ(covered, file_size);
}

void ParseAndCheck(absl::string_view head, int64_t file_size) {
  const absl::StatusOr<SafetensorsReader> reader =
      SafetensorsReader::Parse(head, file_size, "fuzz.safetensors");
  if (reader.ok()) {
    CheckReader(*reader, file_size);
    return;
  }
  CHECK(absl::IsDataLoss(reader.status()) ||
        absl::IsUnimplemented(reader.status()) ||
        absl::IsInvalidArgument(reader.status()))
      << reader.status();
  CHECK(reader.status().message().find("fuzz.safetensors: ") == 0)
      << reader.status();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view file(reinterpret_cast<const char*>(data), size);
  ParseAndCheck(file, static_cast<int64_t>(size));
  if (size < 8) return 0;

  // Mutations seldom keep the length of the header right. Here it always is,
  // and the first two bytes give the size of the data instead.
  const absl::string_view json = file.substr(8);
  std::string head;
  for (int i = 0; i < 8; ++i) {
    head.push_back(static_cast<char>(json.size() >> (8 * i) & 0xFF));
  }
  head.append(json.data(), json.size());
  const int64_t data_bytes = data[0] | data[1] << 8;
  ParseAndCheck(head, static_cast<int64_t>(head.size()) + data_bytes);
  return 0;
}
