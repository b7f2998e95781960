#include "checkpoint/pickle/pickle_globals.h"

#include <algorithm>
#include <cstddef>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace pretrained {
namespace {

struct Names {
  absl::string_view module;
  absl::string_view names;  // Separated by single spaces.
};

// What checkpoints are made of. `builtins` stands for `__builtin__` too, and
// `numpy._core` for `numpy.core`.
constexpr Names kKnown[] = {
    {"builtins",
     "object dict list tuple set frozenset int long float complex bool str "
     "unicode bytes bytearray slice range xrange NoneType Ellipsis"},
    {"collections", "OrderedDict defaultdict Counter"},
    {"argparse", "Namespace"},
    {"_codecs", "encode"},
    {"torch._utils",
     "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 "
     "_rebuild_parameter _rebuild_parameter_with_state "
     "_rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_qtensor "
     "_rebuild_nested_tensor _rebuild_meta_tensor_no_storage "
     "_rebuild_wrapper_subclass _rebuild_xla_tensor "
     "_rebuild_device_tensor_from_numpy "
     "_rebuild_device_tensor_from_cpu_tensor"},
    {"torch._tensor", "_rebuild_from_type_v2 _rebuild_from_type Tensor"},
    {"torch.tensor", "_rebuild_from_type_v2 _rebuild_from_type"},
    {"torch.serialization", "_get_layout"},
    {"torch.nn.parameter", "Parameter Buffer"},
    {"torch.storage",
     "TypedStorage UntypedStorage _TypedStorage "
     "_UntypedStorage"},
    {"torch",
     "Tensor Size device Generator "
     "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 "
     "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz "
     "float8_e8m0fnu float4_e2m1fn_x2 "
     "float16 bfloat16 float32 float64 complex32 complex64 complex128 "
     "half float double short int long cfloat cdouble chalf "
     "qint8 quint8 qint32 quint4x2 quint2x4 "
     "strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc "
     "per_tensor_affine per_channel_affine per_tensor_symmetric "
     "per_channel_symmetric per_channel_affine_float_qparams "
     "contiguous_format channels_last channels_last_3d preserve_format"},
    {"numpy",
     "ndarray dtype bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 "
     "uint64 float16 float32 float64 complex64 complex128 str_ bytes_ "
     "longlong ulonglong"},
    {"numpy._core.multiarray", "_reconstruct scalar"},
    {"numpy._core.numeric", "_frombuffer"},
};

constexpr absl::string_view kStoragePrefixes[] = {
    "Double",        "Float",        "Half",  "BFloat16", "Long",
    "Int",           "Short",        "Char",  "Byte",     "Bool",
    "ComplexDouble", "ComplexFloat", "QInt8", "QUInt8",   "QInt32",
    "QUInt4x2",      "QUInt2x4",     "Typed", "Untyped"};

// Modules of which no name belongs into a checkpoint, with what is below them.
constexpr absl::string_view kDangerousModules =
    "os posix nt pwd grp sys subprocess _posixsubprocess commands popen2 "
    "importlib _frozen_importlib _frozen_importlib_external imp zipimport "
    "pkgutil modulefinder runpy socket _socket socketserver SocketServer ssl "
    "_ssl select selectors pty tty termios fcntl ctypes _ctypes cffi "
    "_cffi_backend shutil code codeop pickle _pickle cPickle pickletools "
    "marshal _marshal shelve dbm dill cloudpickle jsonpickle webbrowser "
    "antigravity pdb bdb cmd doctest trace timeit profile cProfile _lsprof "
    "asyncio _asyncio multiprocessing _multiprocessing concurrent threading "
    "_thread thread dummy_threading _dummy_thread signal _signal sched atexit "
    "tempfile urllib urllib2 urllib3 http httplib requests aiohttp httpx "
    "ftplib smtplib smtpd telnetlib poplib imaplib nntplib xmlrpc xmlrpclib "
    "asyncore asynchat wsgiref cgi paramiko fabric pexpect ptyprocess pip "
    "ensurepip venv distutils setuptools pkg_resources idlelib lib2to3 pydoc "
    "pydoc_data site sysconfig linecache fileinput gc mmap "
    "resource readline rlcompleter syslog winreg _winreg msvcrt winsound "
    "_winapi msilib faulthandler tracemalloc sqlite3 zipfile tarfile glob "
    "pyximport cython Cython invoke sh plumbum";

// And modules below harmless ones.
constexpr absl::string_view kDangerousSubmodules =
    "torch.hub torch.jit torch.package torch.multiprocessing "
    "torch.utils.cpp_extension torch.utils.bottleneck "
    "torch.utils.data.datapipes "
    "torch.utils.collect_env torch.utils.model_zoo torch._inductor "
    "torch._dynamo torch.distributed.rpc torch.distributed.run "
    "torch.distributed.launch torch.distributed.elastic torch.ops "
    "torch._ops torch.testing torch.fx.graph_module "
    "numpy.testing numpy.f2py numpy.distutils numpy.ctypeslib "
    "numpy.lib.npyio numpy.lib._npyio_impl numpy.compat logging.config "
    "six.moves tensorflow.io pandas.io joblib.externals";

// Single names of modules whose other names are left alone.
constexpr Names kDangerousNames[] = {
    {"builtins",
     "eval exec execfile compile getattr setattr delattr hasattr __import__ "
     "open file input raw_input breakpoint globals locals vars dir reload "
     "apply reduce map filter help exit quit"},
    {"io", "open open_code FileIO"},
    {"_io", "open open_code FileIO"},
    {"codecs", "open EncodedFile"},
    {"operator", "attrgetter methodcaller call"},
    {"_operator", "attrgetter methodcaller call"},
    {"functools", "reduce singledispatch"},
    {"_functools", "reduce"},
    {"types",
     "FunctionType LambdaType CodeType MethodType ModuleType new_class "
     "prepare_class coroutine"},
    {"copyreg", "add_extension remove_extension pickle constructor"},
    {"copy_reg", "add_extension remove_extension pickle constructor"},
    {"platform", "popen _syscmd_ver _syscmd_file"},
    {"uuid", "_popen _get_command_stdout"},
    {"yaml", "load load_all unsafe_load unsafe_load_all full_load"},
    {"joblib", "load dump Parallel delayed"},
    {"pandas", "eval read_pickle"},
    {"numpy",
     "load loads save savez fromfile memmap loadtxt genfromtxt DataSource"},
    {"torch", "load save _load_global_deps compile"},
    {"torch.serialization",
     "load save _load _legacy_load _open_file _open_file_like"},
    {"torch.storage", "_load_from_bytes"},
    {"torch._utils_internal", "get_source_lines_and_file"},
    {"torch.fx._symbolic_trace", "Tracer symbolic_trace"},
};

// A name of one part that is another module's: `torch` has an `os`, too.
constexpr absl::string_view kModulesAsNames =
    "os sys subprocess builtins importlib posix nt shutil socket pty ctypes "
    "runpy _os _sys _builtins";

using Set = absl::flat_hash_set<absl::string_view>;

const Set& SetOf(absl::string_view words) {
  return *new Set(absl::StrSplit(words, ' '));
}

bool HasWord(absl::string_view words, absl::string_view word) {
  for (const absl::string_view w : absl::StrSplit(words, ' ')) {
    if (w == word) return true;
  }
  return false;
}

// True if `table` has `name` under `module`.
template <size_t kRows>
bool Has(const Names (&table)[kRows], absl::string_view module,
         absl::string_view name) {
  return std::any_of(std::begin(table), std::end(table), [&](const Names& row) {
    return row.module == module && HasWord(row.names, name);
  });
}

// Modules that go by several names, by the one that the tables use.
absl::string_view CanonicalModule(absl::string_view module) {
  for (const absl::string_view builtins :
       {"__builtin__", "__builtins__", "builtins", "future.builtins",
        "past.builtins", "six.moves.builtins"}) {
    if (module == builtins) return "builtins";
  }
  if (module == "numpy.core.multiarray") return "numpy._core.multiarray";
  if (module == "numpy.core.numeric") return "numpy._core.numeric";
  return module;
}

bool IsStorage(absl::string_view module, absl::string_view name) {
  if (module != "torch" && module != "torch.cuda" &&
      module != "torch.storage") {
    return false;
  }
  if (!absl::EndsWith(name, "Storage")) return false;
  name.remove_suffix(7);
  return std::find(std::begin(kStoragePrefixes), std::end(kStoragePrefixes),
                   name) != std::end(kStoragePrefixes);
}

bool IsDangerousModule(absl::string_view module) {
  static const Set& modules = SetOf(kDangerousModules);
  static const Set& submodules = SetOf(kDangerousSubmodules);
  if (modules.contains(module.substr(0, module.find('.')))) return true;
  // Every prefix that ends at a dot, and the whole.
  for (size_t dot = module.find('.'); dot != absl::string_view::npos;) {
    dot = module.find('.', dot + 1);
    if (submodules.contains(module.substr(0, dot))) return true;
  }
  // Vendored copies of six: its `moves` is every module of the library.
  return absl::StrContains(module, ".six.moves");
}

// What Python looks up in a module or a class without being asked, and what
// leads from any object to all others.
bool IsDunder(absl::string_view part) {
  return part.size() > 4 && absl::StartsWith(part, "__") &&
         absl::EndsWith(part, "__");
}

// Pickle's own helper of protocol 2, which older protocols call by name.
bool IsNewObj(absl::string_view module, absl::string_view name) {
  return (module == "copyreg" || module == "copy_reg") &&
         (name == "__newobj__" || name == "__newobj_ex__");
}

bool IsDangerousName(absl::string_view module, absl::string_view name) {
  static const Set& as_names = SetOf(kModulesAsNames);
  static const Set& modules = SetOf(kDangerousModules);
  if (IsNewObj(module, name)) return false;
  if (Has(kDangerousNames, module, name)) return true;
  const bool is_dotted = absl::StrContains(name, '.');
  for (const absl::string_view part : absl::StrSplit(name, '.')) {
    if (IsDunder(part) || as_names.contains(part)) return true;
    if (is_dotted && modules.contains(part)) return true;
    // "eval.__call__" of builtins, "load.x" of torch.
    if (is_dotted && Has(kDangerousNames, module, part)) return true;
  }
  return false;
}

}  // namespace

absl::string_view PickleGlobalClassName(PickleGlobalClass global_class) {
  switch (global_class) {
    case PickleGlobalClass::kKnown:
      return "known";
    case PickleGlobalClass::kUnknown:
      return "unknown";
    case PickleGlobalClass::kDangerous:
      return "dangerous";
  }
  return "unknown";
}

PickleGlobalClass ClassifyPickleGlobal(absl::string_view module,
                                       absl::string_view name) {
  module = CanonicalModule(module);
  if (Has(kKnown, module, name) || IsStorage(module, name)) {
    return PickleGlobalClass::kKnown;
  }
  if (IsDangerousModule(module) || IsDangerousName(module, name)) {
    return PickleGlobalClass::kDangerous;
  }
  return PickleGlobalClass::kUnknown;
}

}  // namespace pretrained
