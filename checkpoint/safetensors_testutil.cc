#include "checkpoint/safetensors_testutil.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/checkpoint.h"

namespace pretrained {
namespace checkpoint_testing {
namespace {

std::string TestTempDir() {
  const char* const dir = std::getenv("TEST_TMPDIR");
  return dir != nullptr ? dir : "/tmp";
}

}  // namespace

std::string SafetensorsFile(absl::string_view json, int64_t data_bytes) {
  std::string file;
  for (int i = 0; i < 8; ++i) {
    file.push_back(static_cast<char>(json.size() >> (8 * i) & 0xFF));
  }
  file.append(json.data(), json.size());
  for (int64_t i = 0; i < data_bytes; ++i) {
    file.push_back(static_cast<char>(i % 251));
  }
  return file;
}

std::string SafetensorsHeader(const std::vector<TestTensor>& tensors) {
  std::string json = "{";
  int64_t begin = 0;
  for (const TestTensor& tensor : tensors) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "", "\"", tensor.name,
                    "\":{\"dtype\":\"", tensor.dtype, "\",\"shape\":[",
                    absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[",
                    begin, ",", begin + tensor.nbytes, "]}");
    begin += tensor.nbytes;
  }
  return absl::StrCat(json, "}");
}

std::string SafetensorsFileWith(const std::vector<TestTensor>& tensors) {
  int64_t data_bytes = 0;
  for (const TestTensor& tensor : tensors) data_bytes += tensor.nbytes;
  return SafetensorsFile(SafetensorsHeader(tensors), data_bytes);
}

std::vector<TestTensor> ManyTensors(int64_t n) {
  std::vector<TestTensor> tensors;
  for (int64_t i = 0; i < n; ++i) {
    tensors.push_back(
        {absl::StrCat("model.layers.", i, ".mlp.gate.weight"), "F32", {4}, 16});
  }
  return tensors;
}

std::vector<TestTensor> MiniLmTensors() {
  constexpr int64_t kHidden = 384, kIntermediate = 1536;
  std::vector<TestTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t nbytes = 4;
    for (const int64_t extent : shape) nbytes *= extent;
    tensors.push_back({name, "F32", std::move(shape), nbytes});
  };
  const auto add_linear = [&](const std::string& name, int64_t out,
                              int64_t in) {
    add(name + ".bias", {out});
    add(name + ".weight", {out, in});
  };
  const auto add_norm = [&](const std::string& name) {
    add(name + ".bias", {kHidden});
    add(name + ".weight", {kHidden});
  };
  add_norm("embeddings.LayerNorm");
  add("embeddings.position_embeddings.weight", {512, kHidden});
  add("embeddings.token_type_embeddings.weight", {2, kHidden});
  add("embeddings.word_embeddings.weight", {30522, kHidden});
  for (int i = 0; i < 6; ++i) {
    const std::string layer = absl::StrCat("encoder.layer.", i);
    add_norm(layer + ".attention.output.LayerNorm");
    add_linear(layer + ".attention.output.dense", kHidden, kHidden);
    add_linear(layer + ".attention.self.key", kHidden, kHidden);
    add_linear(layer + ".attention.self.query", kHidden, kHidden);
    add_linear(layer + ".attention.self.value", kHidden, kHidden);
    add_linear(layer + ".intermediate.dense", kIntermediate, kHidden);
    add_norm(layer + ".output.LayerNorm");
    add_linear(layer + ".output.dense", kHidden, kIntermediate);
  }
  add_linear("pooler.dense", kHidden, kHidden);
  return tensors;
}

std::string WriteTestFile(absl::string_view name, absl::string_view content) {
  const std::string path = absl::StrCat(TestTempDir(), "/", name);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  CHECK(out) << "cannot write " << path;
  return path;
}

std::string MakeTestFolder(absl::string_view name) {
  const std::string path = absl::StrCat(TestTempDir(), "/", name);
  CHECK(mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) << path;
  return path;
}

std::string CopyTestFolder(absl::string_view name, const std::string& from) {
  const std::string folder = MakeTestFolder(name);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    WriteTestFile(absl::StrCat(name, "/", entry.path().filename().string()),
                  ReadTestFile(entry.path().string()));
  }
  return folder;
}

std::string ReadTestFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  CHECK(in) << "cannot read " << path;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string ViewedBytes(const Checkpoint& checkpoint,
                        const TensorInfo& tensor) {
  const absl::StatusOr<TensorView> view = checkpoint.View(tensor);
  CHECK_OK(view.status());
  return std::string(static_cast<const char*>(view->data),
                     static_cast<size_t>(view->nbytes));
}

std::string ReadBytes(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::string bytes(static_cast<size_t>(tensor.nbytes()), '\0');
  CHECK_OK(checkpoint.Read(tensor, absl::MakeSpan(bytes)));
  return bytes;
}

}  // namespace checkpoint_testing
}  // namespace pretrained
