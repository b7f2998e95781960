// The example of README.md, which this test compiles, runs, and finds there.

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "absl/status/status_matchers.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "checkpoint/pickle/pickle.h"
#include "checkpoint/pickle/pickle_globals.h"
#include "checkpoint/pickle/pickle_testutil.h"
#include "checkpoint/pickle/pickle_text.h"
#include "gtest/gtest.h"

namespace pretrained {
namespace {

// README example begins
absl::StatusOr<int64_t> Epoch(absl::string_view bytes) {
  auto pickle = Pickle::Parse(bytes, {.name = "training_state.pkl"});
  if (!pickle.ok()) return pickle.status();
  std::cout << PickleText(pickle->root(), 1000) << "\n";
  for (const PickleGlobal* global : pickle->globals()) {
    std::cout << global->module << " " << global->name << ": "
              << PickleGlobalClassName(
                     ClassifyPickleGlobal(global->module, global->name))
              << "\n";
  }
  for (const PickleEntry& entry : pickle->root().entries()) {
    if (entry.key.text() == "epoch") return entry.value.int_value();
  }
  return -1;
}
// README example ends

TEST(ReadmeTest, TheExampleRuns) {
  const std::string bytes = "}" + checkpoint_testing::Str("epoch") + "K\7s.";
  EXPECT_THAT(Epoch(bytes), absl_testing::IsOkAndHolds(7));
}

std::string Content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(ReadmeTest, TheExampleIsTheOneInTheReadme) {
  const std::string source = Content("checkpoint/pickle/readme_test.cc");
  const std::string begin = "// README example begins\n";
  const size_t from = source.find(begin) + begin.size();
  const std::string example =
      source.substr(from, source.find("// README example ends") - from);
  ASSERT_FALSE(example.empty());
  EXPECT_TRUE(
      absl::StrContains(Content("checkpoint/pickle/README.md"), example))
      << example;
}

}  // namespace
}  // namespace pretrained
