/* base/version.h — the version of all programs; the Makefile's and the packages', too. */
#ifndef GD_BASE_VERSION_H
#define GD_BASE_VERSION_H

#define GD_VERSION "0.1.0"

#endif
