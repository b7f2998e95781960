#include "checkpoint/checkpoint_index.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "checkpoint/error_text.h"
#include "checkpoint/json_error.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/python_json.h"
#include "simdjson.h"

namespace pretrained {
namespace {

namespace dom = simdjson::dom;
using checkpoint_internal::AppendPythonJson;
using checkpoint_internal::AppendPythonString;
using checkpoint_internal::FindDuplicateKey;
using checkpoint_internal::FindJsonError;
using checkpoint_internal::JsonError;
using checkpoint_internal::PythonJsonOptions;
using checkpoint_internal::QuotedName;

// 100,000 entries with long names need 20 MB.
constexpr int64_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShardNameBytes = 255;
constexpr size_t kMaxDepth = 128;  // An index needs three.

constexpr absl::string_view kMetadataKey = "metadata";
constexpr absl::string_view kWeightMapKey = "weight_map";
constexpr absl::string_view kDownloadAgain =
    "; download the index again, or save the checkpoint again";

// What `element` is, for a message that expected something else.
std::string Describe(dom::element element) {
  if (element.is_array()) return "a list";
  if (element.is_object()) return "an object";
  std::string text;
  AppendPythonJson(element, {}, text);
  return element.is_string() ? QuotedName(element.get_string().value_unsafe())
                             : text;
}

bool HasControlCharacter(absl::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    const unsigned char c = name[i];
    if (c < 0x20 || c == 0x7F) return true;
    // U+0080 to U+009F.
    if (c == 0xC2 && i + 1 < name.size() &&
        static_cast<unsigned char>(name[i + 1]) < 0xA0) {
      return true;
    }
  }
  return false;
}

// Why `name` is no plain relative name of a file within a folder; empty if it
// is one.
absl::string_view WhyNotPlain(absl::string_view name) {
  if (name.empty()) return "it is empty";
  if (name[0] == '/') return "it is absolute";
  if (name.size() > kMaxShardNameBytes) return "it is longer than 255 bytes";
  if (HasControlCharacter(name)) return "it has a control character";
  if (name.find('\\') != absl::string_view::npos) return "it has a backslash";
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part == "..") return "it leaves the folder";
    if (part.empty() || part == ".") return "it is not in its shortest form";
  }
  return "";
}

}  // namespace

class CheckpointIndex::Parser {
 public:
  explicit Parser(absl::string_view file_name) : file_name_(file_name) {}

  absl::StatusOr<CheckpointIndex> Parse(absl::string_view text);

 private:
  absl::Status TextError(absl::string_view text, simdjson::error_code error);
  absl::Status ParseWeightMap(dom::element value);
  absl::Status AddShard(absl::string_view tensor, dom::element value,
                        int& shard);
  void SortShards();

  template <typename... Parts>
  absl::Status Bad(const Parts&... parts) const {
    return absl::DataLossError(
        absl::StrCat(file_name_, ": ", parts..., kDownloadAgain));
  }

  const absl::string_view file_name_;
  dom::parser parser_;
  absl::flat_hash_map<absl::string_view, int> shard_numbers_;  // Into parser_.
  absl::string_view last_shard_;  // Neighbours mostly share one.
  int last_shard_number_ = -1;
  CheckpointIndex index_;
};

absl::StatusOr<CheckpointIndex> CheckpointIndex::Parser::Parse(
    absl::string_view text) {
  if (text.empty()) {
    return Bad("the file is empty, but an index is a JSON object");
  }
  simdjson::error_code error = parser_.allocate(text.size(), kMaxDepth);
  dom::element root;
  if (error == simdjson::SUCCESS) {
    error = parser_.parse(text.data(), text.size()).get(root);
  }
  if (error != simdjson::SUCCESS) return TextError(text, error);
  dom::object fields;
  if (root.get(fields) != simdjson::SUCCESS) {
    return Bad("the index is ", Describe(root), ", but must be an object");
  }

  std::optional<dom::element> weight_map;
  absl::flat_hash_set<absl::string_view> keys;
  for (const dom::key_value_pair field : fields) {
    if (!keys.insert(field.key).second) {
      return Bad("the key ", QuotedName(field.key), " occurs twice");
    }
    if (field.key == kWeightMapKey) {
      weight_map = field.value;
      continue;
    }
    if (field.key == kMetadataKey && !field.value.is_object()) {
      return Bad("`metadata` is ", Describe(field.value),
                 ", but must be an object");
    }
    if (const auto key = FindDuplicateKey(field.value)) {
      return Bad("the key ", QuotedName(*key), " occurs twice in ",
                 QuotedName(field.key));
    }
    auto& other = index_.others_.emplace_back(field.key, "");
    AppendPythonJson(field.value, {}, other.second);
  }
  if (!weight_map.has_value()) {
    return Bad("it has no `weight_map`, which says where each tensor lies");
  }
  if (absl::Status s = ParseWeightMap(*weight_map); !s.ok()) return s;
  return std::move(index_);
}

absl::Status CheckpointIndex::Parser::TextError(absl::string_view text,
                                                simdjson::error_code error) {
  switch (error) {
    case simdjson::MEMALLOC:
    case simdjson::CAPACITY:
      return absl::ResourceExhaustedError(
          absl::StrCat(file_name_, ": not enough memory for its ", text.size(),
                       " bytes; free some"));
    case simdjson::DEPTH_ERROR:
      return Bad("the index nests deeper than ", kMaxDepth,
                 " levels, but needs three");
    default:
      break;
  }
  const JsonError fault = FindJsonError(text);
  if (fault.number) {
    return Bad("the number ", QuotedName(*fault.number),
               " does not fit into 64 bits");
  }
  return Bad("the index is not valid JSON",
             fault.place ? absl::StrCat(" at byte ", *fault.place) : "", " (",
             simdjson::error_message(error), ")");
}

absl::Status CheckpointIndex::Parser::ParseWeightMap(dom::element value) {
  dom::object entries;
  if (value.get(entries) != simdjson::SUCCESS) {
    return Bad("`weight_map` is ", Describe(value),
               ", but must be an object from tensor names to shard names");
  }
  absl::flat_hash_set<absl::string_view> tensors;
  tensors.reserve(entries.size());
  index_.weight_map_.reserve(entries.size());
  for (const dom::key_value_pair entry : entries) {
    if (!tensors.insert(entry.key).second) {
      return Bad("tensor ", QuotedName(entry.key),
                 " occurs twice in `weight_map`");
    }
    int shard = 0;
    if (absl::Status s = AddShard(entry.key, entry.value, shard); !s.ok()) {
      return s;
    }
    index_.weight_map_.push_back({std::string(entry.key), shard});
  }
  if (index_.weight_map_.empty()) {
    return Bad(
        "`weight_map` is empty, but a checkpoint has at least one "
        "tensor");
  }
  SortShards();
  return absl::OkStatus();
}

absl::Status CheckpointIndex::Parser::AddShard(absl::string_view tensor,
                                               dom::element value, int& shard) {
  absl::string_view name;
  if (value.get(name) != simdjson::SUCCESS) {
    return Bad("tensor ", QuotedName(tensor), ": its shard is ",
               Describe(value), ", but must be the name of a file");
  }
  if (last_shard_number_ < 0 || name != last_shard_) {
    const auto [it, is_new] =
        shard_numbers_.try_emplace(name, index_.shards_.size());
    if (is_new) {
      if (absl::string_view why = WhyNotPlain(name); !why.empty()) {
        return Bad("tensor ", QuotedName(tensor), ": its shard ",
                   QuotedName(name), " cannot be trusted: ", why,
                   ", but must be the name of a file in the index's folder");
      }
      index_.shards_.emplace_back(name);
    }
    last_shard_ = name;
    last_shard_number_ = it->second;
  }
  shard = last_shard_number_;
  return absl::OkStatus();
}

void CheckpointIndex::Parser::SortShards() {
  std::vector<std::string>& shards = index_.shards_;
  std::vector<int> order(shards.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return shards[a] < shards[b]; });
  std::vector<int> place(shards.size());
  std::vector<std::string> sorted;
  sorted.reserve(shards.size());
  for (const int old : order) {
    place[old] = static_cast<int>(sorted.size());
    sorted.push_back(std::move(shards[old]));
  }
  shards = std::move(sorted);
  for (WeightMapEntry& entry : index_.weight_map_) {
    entry.shard = place[entry.shard];
  }
}

absl::StatusOr<CheckpointIndex> CheckpointIndex::Read(const std::string& path) {
  const absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(path);
  if (!file.ok()) return file.status();
  const int64_t size = (*file)->size_bytes();
  if (size > kMaxIndexBytes) {
    return absl::DataLossError(absl::StrCat(
        path, ": has ", size, " bytes, but an index has at most ",
        kMaxIndexBytes, "; pass the index that came with the weights"));
  }
  std::string text(size, '\0');
  if (absl::Status s = (*file)->Read(0, absl::MakeSpan(text)); !s.ok()) {
    return s;
  }
  return Parse(text, path);
}

absl::StatusOr<CheckpointIndex> CheckpointIndex::Parse(
    absl::string_view text, absl::string_view file_name) {
  return Parser(file_name).Parse(text);
}

absl::StatusOr<CheckpointIndex> CheckpointIndex::Create(
    const std::vector<std::pair<std::string, std::string>>& weight_map,
    absl::string_view metadata_json) {
  // Through the text, so that one set of rules holds.
  std::string text = "{";
  if (!metadata_json.empty()) {
    dom::parser parser;
    dom::object metadata;
    if (parser.parse(metadata_json.data(), metadata_json.size())
            .get(metadata) != simdjson::SUCCESS) {
      return absl::InvalidArgumentError(
          absl::StrCat("new index: metadata ", QuotedName(metadata_json),
                       " is not a JSON object; pass one, or nothing"));
    }
    absl::StrAppend(&text, "\"metadata\": ", metadata_json, ",");
  }
  text += "\"weight_map\": {";
  for (const auto& [tensor, shard] : weight_map) {
    for (const std::string* name : {&tensor, &shard}) {
      if (!simdjson::validate_utf8(name->data(), name->size())) {
        return absl::InvalidArgumentError(
            absl::StrCat("new index: the name ", QuotedName(*name),
                         " is not UTF-8, but JSON is; rename the tensor"));
      }
    }
    if (&tensor != &weight_map[0].first) text += ',';
    AppendPythonString(tensor, text);
    text += ':';
    AppendPythonString(shard, text);
  }
  text += "}}";
  absl::StatusOr<CheckpointIndex> index = Parse(text, "new index");
  if (absl::IsDataLoss(index.status())) {
    return absl::InvalidArgumentError(index.status().message());
  }
  return index;
}

absl::string_view CheckpointIndex::metadata_json() const {
  for (const auto& [key, json] : others_) {
    if (key == kMetadataKey) return json;
  }
  return "";
}

std::string CheckpointIndex::Serialize() const {
  std::vector<const WeightMapEntry*> entries;
  entries.reserve(weight_map_.size());
  for (const WeightMapEntry& entry : weight_map_) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const auto* a, const auto* b) { return a->tensor < b->tensor; });
  std::vector<std::pair<absl::string_view, absl::string_view>> fields(
      others_.begin(), others_.end());
  fields.emplace_back(kWeightMapKey, "");
  std::sort(fields.begin(), fields.end());

  std::string out;
  absl::string_view separator = "{\n  ";
  for (const auto& [key, json] : fields) {
    absl::StrAppend(&out, separator);
    separator = ",\n  ";
    AppendPythonString(key, out);
    out += ": ";
    if (key != kWeightMapKey) {
      dom::parser parser;
      dom::element value;
      if (parser.parse(json.data(), json.size()).get(value) ==
          simdjson::SUCCESS) {
        AppendPythonJson(value, {.indent = 2, .sort_keys = true, .level = 1},
                         out);
      }
      continue;
    }
    absl::string_view inner = "{\n    ";
    for (const WeightMapEntry* entry : entries) {
      absl::StrAppend(&out, inner);
      inner = ",\n    ";
      AppendPythonString(entry->tensor, out);
      out += ": ";
      AppendPythonString(shards_[entry->shard], out);
    }
    out += "\n  }";
  }
  out += "\n}\n";
  return out;
}

}  // namespace pretrained
