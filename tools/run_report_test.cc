#include "tools/run_report.h"

#include <sstream>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modeling/exact_flops.h"
#include "modeling/memory_hooks.h"
#include "nlohmann/json.hpp"

namespace pretrained {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

RunReport Report() {
  return {.outputs = {{"logits", at::zeros({2, 3})}},
          .outputs_file = "out.safetensors",
          .seconds = 0.25,
          .floating_point_ops = 600};
}

RunReport FullReport() {
  RunReport report = Report();
  report.flops = ExactFlops{
      .operators = {{.name = "addmm", .calls = 2, .matmul = 90, .other = 6},
                    {.name = "gelu", .calls = 1, .other = 4}}};
  report.memory = std::vector<ModuleMemory>{
      {.class_name = "Model",
       .mem_rss_diff = 3'000'000,
       .mem_rss_pre_forward = 5'000'000,
       .mem_rss_post_forward = 8'000'000,
       .calls = 1},
      {.path = "encoder.layer.0.attention.output.LayerNorm",
       .class_name = "LayerNorm",
       .mem_rss_diff = -4096,
       .mem_rss_pre_forward = 8'004'096,
       .mem_rss_post_forward = 8'000'000,
       .calls = 2},
      {.path = "never", .class_name = "Dropout"}};
  return report;
}

std::string Text(const RunReport& report, int width = 0) {
  std::ostringstream out;
  PrintReport(report, width, out);
  return out.str();
}

TEST(RunReportTest, SaysOnlyWhatWasAskedFor) {
  EXPECT_EQ(ToJson(Report()).dump(),
            R"({"outputs":[{"name":"logits","dtype":"float32","shape":[2,3]}],)"
            R"("seconds":0.25,"floating_point_ops":600})");
  const std::string text = Text(Report());
  EXPECT_THAT(text, HasSubstr("forward in 0.2500 s; written to out.safe"));
  EXPECT_THAT(text, Not(HasSubstr("600")));
  EXPECT_THAT(text, Not(HasSubstr("module")));
}

TEST(RunReportTest, OperationsAreToldByOperator) {
  const Json flops = ToJson(FullReport())["flops"];
  EXPECT_EQ(flops.dump(),
            R"({"total":100,"matmul":90,"operators":[)"
            R"({"name":"addmm","calls":2,"matmul":90,"other":6},)"
            R"({"name":"gelu","calls":1,"matmul":0,"other":4}],"unknown":[]})");
  const std::string text = Text(FullReport());
  EXPECT_THAT(text, HasSubstr("addmm         2      90      6  96.0%"));
  EXPECT_THAT(text, HasSubstr("of the forward: 100, 90 of them in products"));
  EXPECT_THAT(text, HasSubstr("forward and backward: 600"));
  EXPECT_THAT(text, Not(HasSubstr("not counted")));
  RunReport report = FullReport();
  report.flops->unknown = {"conv1d", "fft"};
  EXPECT_THAT(Text(report), HasSubstr("not counted: conv1d, fft"));
}

TEST(RunReportTest, MemoryIsToldByModuleThatWasCalled) {
  const Json memory = ToJson(FullReport())["memory"];
  ASSERT_EQ(memory.size(), 3u);
  EXPECT_EQ(memory[0].dump(),
            R"({"name":"","class":"Model","calls":1,"mem_rss_diff":3000000,)"
            R"("mem_rss_pre_forward":5000000,"mem_rss_post_forward":8000000})");
  const std::string text = Text(FullReport());
  EXPECT_THAT(text, HasSubstr("(the model)"));
  EXPECT_THAT(text, HasSubstr("-4.10 kB"));
  EXPECT_THAT(text, Not(HasSubstr("never")));
}

TEST(RunReportTest, FitsATerminal) {
  const std::string text = Text(FullReport(), 60);
  bool after_path = false;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    after_path = after_path || absl::StartsWith(line, "module");
    if (!after_path) continue;
    EXPECT_LE(line.size(), 60u) << line;
  }
  EXPECT_TRUE(after_path);
}

}  // namespace
}  // namespace pretrained
