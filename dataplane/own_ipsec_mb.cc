#include "dataplane/own_ipsec_mb.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_descriptor.h"

namespace jvpn {
namespace {

// When the copy looks for one of its own functions, its own come before the program's copy's.
// Sanitizers refuse to load such a library: there the copies share their code.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kOwnFunctionsFirst = 0;
#else
constexpr int kOwnFunctionsFirst = RTLD_DEEPBIND;
#endif

Error cause(const std::string& what) {
  return Error{"IPsec-MB: no copy for a worker of its own: " + what + ": " + std::strerror(errno)};
}

/// The file that the program's own copy was loaded from.
Result<std::string> library_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&alloc_mb_mgr), &info) == 0 || info.dli_fname == nullptr)
    return Error{"IPsec-MB: no copy for a worker of its own: where it was loaded from is unknown"};
  return std::string(info.dli_fname);
}

/// The loader takes two files for two libraries, however equal they are.
Result<FileDescriptor> copy_in_memory(const std::string& path) {
  const FileDescriptor from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!from || ::fstat(from.get(), &status) != 0) return cause(path);
  FileDescriptor copy(::memfd_create("libIPSec_MB", MFD_CLOEXEC));
  if (!copy) return cause("memfd_create");
  for (off_t left = status.st_size; left > 0;) {
    const ssize_t sent = ::sendfile(copy.get(), from.get(), nullptr, static_cast<size_t>(left));
    if (sent <= 0) return cause("copying " + path);
    left -= sent;
  }
  return copy;
}

/// A loaded copy. Its file stays open, for the loader knows libraries by their names, and this
/// one's is the descriptor's number.
struct LoadedCopy {
  FileDescriptor file;
  void* library = nullptr;
  LoadedCopy(FileDescriptor from, void* loaded) : file(std::move(from)), library(loaded) {}
  LoadedCopy(const LoadedCopy&) = delete;
  LoadedCopy& operator=(const LoadedCopy&) = delete;
  ~LoadedCopy() { ::dlclose(library); }
};

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  void* const found = ::dlsym(library, name);
  function = reinterpret_cast<Function>(found);
  return found != nullptr;
}

}  // namespace

Result<IpsecMb> own_ipsec_mb() {
  const auto path = library_path();
  if (!path) return path.error();
  auto copy = copy_in_memory(*path);
  if (!copy) return copy.error();
  const std::string name = "/proc/self/fd/" + std::to_string(copy->get());
  void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | kOwnFunctionsFirst);
  const auto failed = [] {
    const char* const why = ::dlerror();
    return Error{std::string("IPsec-MB: no copy for a worker of its own: ") +
                 (why != nullptr ? why : "it can't be loaded")};
  };
  if (library == nullptr) return failed();
  IpsecMb own;
  own.loaded = std::make_shared<LoadedCopy>(*std::move(copy), library);
  if (!find(library, "alloc_mb_mgr", own.allocate) || !find(library, "free_mb_mgr", own.free) ||
      !find(library, "init_mb_mgr_auto", own.init) ||
      !find(library, "imb_get_errno", own.get_errno) ||
      !find(library, "imb_get_strerror", own.get_strerror))
    return failed();
  return own;
}

}  // namespace jvpn
