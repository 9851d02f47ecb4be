// How a gateway reaches its cluster's store, by its profile.
#pragma once

#include <string>

#include "common/result.h"
#include "control/admin/profile_file.h"
#include "control/cluster/etcd_options.h"

namespace jvpn {

inline cluster::EtcdOptions etcd_options(const EtcdProfile& etcd) {
  return {etcd.endpoints, etcd.ca_file, etcd.certificate_file, etcd.key_file};
}

/// What is wrong with the endpoints and files of that; nothing is connected to. Without a cluster
/// nothing is.
inline Result<void> check_cluster(const admin::LoadedGateway& loaded) {
  const auto& etcd = loaded.profile.ownership.etcd;
  if (!etcd) return {};
  const auto checked = cluster::check_options(etcd_options(*etcd));
  if (checked) return {};
  return Error{loaded.path + ":" + std::to_string(etcd->place.line) + ":" +
               std::to_string(etcd->place.column) + ": ownership.etcd: " + checked.error().message};
}

}  // namespace jvpn
