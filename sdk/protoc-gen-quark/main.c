/* SPDX-License-Identifier: Apache-2.0 */
/* protoc-gen-quark: makes actors' tables and proxies from a .proto file. protoc runs it and speaks to it over its
 * standard input and output. */
#include "gen.h"

#include <string.h>
#include <unistd.h>
#include <quark/abi.h>

#define PROGRAM "protoc-gen-quark"

static const char help[] =
    "usage: protoc --quark_out=DIR [--quark_opt=plugin=NAME,version=VERSION] --c_out=DIR FILE.proto...\n"
    "\n"
    "Makes actor types from the services of a .proto file that import quark/options.proto and carry the option\n"
    "(quark.actor). protoc finds this program as `protoc-gen-quark` on the PATH, or where\n"
    "--plugin=protoc-gen-quark=PATH says. For each FILE.proto it writes, beside what protoc-c writes:\n"
    "\n"
    "  FILE.quark.h         handler prototypes, and proxies that handlers call\n"
    "  FILE.quark.c         tables of methods and types; in the first file the plugin's descriptor\n"
    "  FILE.quark-client.h  proxies for programs, over libquark-client\n"
    "  FILE.quark-test.h    proxies for tests in a test silo, over libquark-test\n"
    "\n"
    "Parameters (--quark_opt=NAME=VALUE, several with commas between):\n"
    "  plugin=NAME      make a plugin of this name; without it there are proxies only, to call actors of another "
    "plugin\n"
    "  version=VERSION  the plugin's version\n"
    "  services=LIST    the plugin's services are those of QK_SERVICES(LIST, ...), see quark/service.h\n"
    "  filter=NAME      a call filter of the silo that the plugin brings, that of QK_FILTER_DEFINE(NAME, ...), see\n"
    "                   quark/actor.h; several, the outermost first: filter=A,filter=B\n"
    "  root=DIR         where the .proto files lie, so that messages can show their lines\n"
    "\n"
    "Options:\n"
    "  --help           this text\n"
    "  --version        the version of this program and of the plugin interface\n"
    "\n"
    "Example:\n"
    "  protoc -I. -I\"$(pkg-config --variable=protodir quark-sdk)\" --quark_out=. \\\n"
    "    --quark_opt=plugin=counter,version=1.0 --c_out=. counter.proto\n";

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return fputs(help, stdout) < 0 || fflush(stdout) != 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf(PROGRAM " %s (plugin interface %d.%d)\n", QUARK_VERSION, QK_ABI_MAJOR, QK_ABI_MINOR);
        return fflush(stdout) != 0;
    }
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fprintf(stderr, "%s\n",
                argc > 1 ? PROGRAM ": takes no arguments: protoc runs it and sends parameters with "
                                   "--quark_opt"
                         : PROGRAM ": protoc runs this program, not a person");
        fprintf(stderr, "`" PROGRAM " --help` says how\n");
        return 2;
    }
    return gen_run(stdin, stdout, stderr);
}
