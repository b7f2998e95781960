#include "checkpoint/pickle/pickle_testutil.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace checkpoint_testing {
namespace {

std::string LittleEndian(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  }
  return bytes;
}

// Memo entry `index` is made of, or pushed from.
std::string Put(int64_t index) {
  return index < 256 ? absl::StrCat("q", LittleEndian(index, 1))
                     : absl::StrCat("r", LittleEndian(index, 4));
}

// Writes what torch.save writes for one tensor after the first.
class StateDictWriter {
 public:
  std::string Write(int64_t count) {
    out_ = absl::StrCat("\x80\x02}", Next(), "(");
    for (int64_t i = 0; i < count; ++i) WriteEntry(i);
    return absl::StrCat(out_, "u.");
  }

 private:
  std::string Next() { return Put(memo_++); }

  // `bytes` the first time, and what fetches it from then on.
  void Shared(const std::string& bytes, std::string* get) {
    if (!get->empty()) {
      out_.append(*get);
      return;
    }
    *get = absl::StrCat("h", LittleEndian(memo_, 1));
    absl::StrAppend(&out_, bytes, Next());
  }

  void WriteEntry(int64_t i) {
    absl::StrAppend(&out_,
                    Str(absl::StrCat("encoder.layer.", i, ".output.weight")),
                    Next());
    Shared(Global("torch._utils", "_rebuild_tensor_v2"), &rebuild_);
    out_.append("((");
    Shared(Str("storage"), &word_);
    Shared(Global("torch", "FloatStorage"), &type_);
    absl::StrAppend(&out_, Str(absl::StrCat(i)), Next());
    Shared(Str("cpu"), &cpu_);
    absl::StrAppend(&out_, "K\x10t", Next(), "Q", Raw("K\0K\x10\x85"), Next(),
                    "K\x01\x85", Next(), "\x89");
    Shared(Global("collections", "OrderedDict"), &hooks_);
    absl::StrAppend(&out_, ")R", Next(), "t", Next(), "R", Next());
  }

  std::string out_;
  int64_t memo_ = 0;
  std::string rebuild_, word_, type_, cpu_, hooks_;
};

}  // namespace

std::string Int(int64_t value) {
  return absl::StrCat("\x8a\x08",
                      LittleEndian(static_cast<uint64_t>(value), 8));
}

std::string Str(absl::string_view text) {
  return absl::StrCat("X", LittleEndian(text.size(), 4), text);
}

std::string Global(absl::string_view module, absl::string_view name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}

std::string Storage(absl::string_view type, absl::string_view key,
                    int64_t numel) {
  return absl::StrCat("(", Str("storage"), Global("torch", type), Str(key),
                      Str("cpu"), Int(numel), "tQ");
}

std::string Tensor(absl::string_view storage, int64_t offset,
                   absl::string_view shape, absl::string_view strides) {
  return absl::StrCat(Global("torch._utils", "_rebuild_tensor_v2"), "(",
                      storage, Int(offset), "(", shape, "t(", strides, "t\x89",
                      Global("collections", "OrderedDict"), ")RtR");
}

std::string StateDictPickle(int64_t count) {
  return StateDictWriter().Write(count);
}

}  // namespace checkpoint_testing
}  // namespace pretrained
