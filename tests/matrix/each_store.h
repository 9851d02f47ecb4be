// A row of the matrix with every store that the product has, and with one in memory.
#pragma once

#include <functional>

#include "tests/matrix/etcd_store.h"
#include "tests/matrix/sqlite_store.h"
#include "tests/matrix/stores.h"

namespace jvpn::test {

inline void with_each_store(const std::function<void(TestStore&)>& row) {
  {
    SCOPED_TRACE("in memory");
    TestStore store;
    row(store);
  }
  {
    SCOPED_TRACE("in a file");
    SqliteTestStore store;
    row(store);
  }
  SCOPED_TRACE("in etcd");
  EtcdTestStore store;
  row(store);
}

}  // namespace jvpn::test
