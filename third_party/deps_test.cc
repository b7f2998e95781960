// Each third-party library is there, links beside the others, and works.

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/timestamp.pb.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "openssl/sha.h"
#include "re2/re2.h"
#include "simdjson.h"

namespace {

TEST(DepsTest, AbseilCarriesAValue) {
  absl::StatusOr<int> value = 3;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, 3);
}

TEST(DepsTest, BoringSslHashesTheStandardExample) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>("abc"), 3, digest);
  EXPECT_EQ(digest[0], 0xba);
  EXPECT_EQ(digest[31], 0xad);
}

TEST(DepsTest, Re2Matches) {
  EXPECT_TRUE(RE2::FullMatch("encoder.layer.11.output", R"(.*\.\d+\.output)"));
}

TEST(DepsTest, ProtobufRoundTrips) {
  google::protobuf::Timestamp stamp;
  stamp.set_seconds(1234567);
  google::protobuf::Timestamp copy;
  ASSERT_TRUE(copy.ParseFromString(stamp.SerializeAsString()));
  EXPECT_EQ(copy.seconds(), 1234567);
}

TEST(DepsTest, OrderedJsonKeepsItsOrder) {
  auto json = nlohmann::ordered_json::parse(R"({"b":1,"a":2})");
  EXPECT_EQ(json.dump(), R"({"b":1,"a":2})");
}

TEST(DepsTest, SimdjsonParses) {
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  ASSERT_EQ(parser.parse(std::string(R"({"a":[1,2]})")).get(element),
            simdjson::SUCCESS);
}

}  // namespace
