/* known.h - where KVM is known to do otherwise (docs/findings.md says what is right, and how to see it). */
#ifndef FUZZ_KNOWN_H
#define FUZZ_KNOWN_H

#include "fuzz/compare.h"

/* Does that explain how KVM's outcome differs from the reference's? */
bool known_of_kvm(const struct fuzz_case *c, const struct fuzz_outcome *reference, const struct fuzz_outcome *kvm, enum difference kind);

#endif
