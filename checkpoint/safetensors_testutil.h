#ifndef PRETRAINED_CHECKPOINT_SAFETENSORS_TESTUTIL_H_
#define PRETRAINED_CHECKPOINT_SAFETENSORS_TESTUTIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {
namespace checkpoint_testing {

// A safetensors file with the header `json` (and nothing checked about it),
// followed by `data_bytes` bytes: 0, 1, 2, .., 250, 0, ..
std::string SafetensorsFile(absl::string_view json, int64_t data_bytes);

// A tensor to be written; its bytes follow those of the one before.
struct TestTensor {
  std::string name;
  std::string dtype;  // As the format writes it, "F32".
  std::vector<int64_t> shape;
  int64_t nbytes;
};

// A good header for `tensors`, and a whole good file.
std::string SafetensorsHeader(const std::vector<TestTensor>& tensors);
std::string SafetensorsFileWith(const std::vector<TestTensor>& tensors);

// `n` tensors F32[4] named as a decoder's.
std::vector<TestTensor> ManyTensors(int64_t n);

// The 103 tensors of all-MiniLM-L6-v2: 22.7 million parameters, 91 MB.
std::vector<TestTensor> MiniLmTensors();

// Writes `content` into a file or creates a folder below the test's temporary
// one, and returns its path. Failures abort the test.
std::string WriteTestFile(absl::string_view name, absl::string_view content);
std::string MakeTestFolder(absl::string_view name);

// A copy, below the test's temporary folder, of the files of the folder `from`.
std::string CopyTestFolder(absl::string_view name, const std::string& from);

// The content of a file; aborts the test if there is none.
std::string ReadTestFile(const std::string& path);

// All bytes of `tensor`, by View() and by Read(). Failures abort the test.
std::string ViewedBytes(const Checkpoint& checkpoint, const TensorInfo& tensor);
std::string ReadBytes(const Checkpoint& checkpoint, const TensorInfo& tensor);

}  // namespace checkpoint_testing
}  // namespace pretrained

#endif  // PRETRAINED_CHECKPOINT_SAFETENSORS_TESTUTIL_H_
