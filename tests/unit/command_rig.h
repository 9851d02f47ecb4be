// Commands of `jvpn` as they are run: in processes of their own, against a socket that the test
// answers.
#pragma once

#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "control/admin/admin_socket.h"
#include "tests/support/rooms.h"
#include "tests/unit/event_rig.h"

namespace jvpn::test {

class CommandTest : public EventFolder {
 protected:
  CommandTest() {
    admin_ = AdminSocket::open(path("admin"), [this](const nlohmann::json& request) {
               requests_.push_back(request);
               if (pages_.empty()) return answer_;
               nlohmann::json page = std::move(pages_.front());
               pages_.pop_front();
               return page;
             }).value();
  }

  struct Outcome {
    int status = -1;
    std::string out;
    std::string err;
  };
  /// Runs a command in a process of its own and serves it.
  Outcome run(const std::function<int()>& command) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      for (const auto& [name, descriptor] :
           {std::pair("out", STDOUT_FILENO), std::pair("err", STDERR_FILENO)})
        dup2(open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), descriptor);
      const int status = command();
      std::fflush(nullptr);
      _exit(status);
    }
    int status = -1;
    comes_true([&] {
      admin_->poll(Millis{1});
      return waitpid(child, &status, WNOHANG) == child;
    });
    return {WEXITSTATUS(status), text_of_file(path("out")), text_of_file(path("err"))};
  }

  nlohmann::json answer_;
  std::deque<nlohmann::json> pages_;  ///< answered first, one after the other
  std::vector<nlohmann::json> requests_;
  std::unique_ptr<AdminSocket> admin_;
};

}  // namespace jvpn::test
