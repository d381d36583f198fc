//===- ArtifactPath.h - Where this code lies on disk ----------------------===//

#ifndef QTALE_LIB_RUNTIME_ARTIFACTPATH_H
#define QTALE_LIB_RUNTIME_ARTIFACTPATH_H

#include <string>

namespace qtale::rt {

/// The shared library or program that holds `address`; empty where the system
/// does not say.
std::string pathOfCode(const void *address);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_ARTIFACTPATH_H
