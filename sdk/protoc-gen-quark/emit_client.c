/* SPDX-License-Identifier: Apache-2.0 */
/* NAME.quark-client.h and NAME.quark-test.h: typed calls from programs and from tests. */
#include "gen.h"

#include <inttypes.h>

/* The method as a program knows it that has none of the plugin's code. */
static void put_remote(struct gen *g, const struct gen_type *t, const struct gen_method *m, const char *name, FILE *out)
{
    fprintf(out,
            "static inline const struct qk_method *%s_remote(void)\n"
            "{\n"
            "    static const struct qk_method method = {%" PRIu32 "u, %s, %" PRIu32 "u, 0, UINT64_C(0x%016" PRIx64
            "), \"%s\",\n"
            "        &%s, &%s, NULL};\n"
            "    return &method;\n"
            "}\n\n",
            name, m->id, gen_method_flags(g, m), m->deadline_ms, t->id, m->pb->name, m->request->c_desc,
            m->reply->c_desc);
}

static void put_ask(const char *name, const struct gen_method *m, FILE *out)
{
    const char *req = m->request->c_type, *rep = m->reply->c_type;
    fprintf(out,
            "static inline int %s_ask_within(struct qk_client *client, struct qk_ref to, uint32_t timeout_ms, const %s "
            "*req, %s **ret_rep)\n"
            "{\n"
            "    ProtobufCMessage *reply = NULL;\n"
            "    int rc = qk_client_ask(client, %s_remote(), to, timeout_ms, (const ProtobufCMessage *)req, ret_rep != "
            "NULL ? &reply : NULL);\n"
            "    if (ret_rep != NULL)\n"
            "        *ret_rep = (%s *)reply;\n"
            "    return rc;\n"
            "}\n\n"
            "static inline int %s_ask(struct qk_client *client, struct qk_ref to, const %s *req, %s **ret_rep)\n"
            "{\n"
            "    return %s_ask_within(client, to, 0, req, ret_rep);\n"
            "}\n\n",
            name, req, rep, name, rep, name, req, rep, name);
}

static void put_ask_begin(const char *name, const struct gen_method *m, FILE *out)
{
    const char *req = m->request->c_type, *rep = m->reply->c_type;
    fprintf(out,
            "static inline int %s_ask_begin_within(struct qk_client *client, struct qk_ref to, uint32_t timeout_ms, "
            "const %s *req, qk_reply_fn on_reply, void *arg)\n"
            "{\n"
            "    return qk_client_ask_begin(client, %s_remote(), to, timeout_ms, (const ProtobufCMessage *)req, "
            "on_reply, arg);\n"
            "}\n\n"
            "static inline int %s_ask_begin(struct qk_client *client, struct qk_ref to, const %s *req, qk_reply_fn "
            "on_reply, void *arg)\n"
            "{\n"
            "    return %s_ask_begin_within(client, to, 0, req, on_reply, arg);\n"
            "}\n\n"
            "/* The message of a reply that %s_ask_begin() brought. NULL after an error, which reply->status tells,\n"
            " * and where the bytes are no such message. */\n"
            "static inline %s *%s_ask_reply(const struct qk_reply *reply)\n"
            "{\n"
            "    return (%s *)qk_client_unpack(&%s, reply);\n"
            "}\n\n",
            name, req, name, name, req, name, name, rep, name, rep, m->reply->c_desc);
}

void gen_emit_client(struct gen *g, const struct gen_file *file, FILE *out)
{
    gen_emit_begin(g, file, "CLIENT", out);
    fprintf(out, "#include <quark/client.h>\n#include \"%s.pb-c.h\"\n\n", file->stem);
    fputs("#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n", out);
    fputs("/* How a program calls actors; quark/client.h says what comes back. Replies are made with malloc: free them "
          "with\n * protobuf_c_message_free_unpacked() or the message's own free_unpacked. */\n\n",
          out);
    for (const struct gen_type *t = g->types; t != NULL; t = t->next) {
        if (t->file != file)
            continue;
        fprintf(out, "/* ---- actor type `%s` (%s) ---- */\n\n", t->name, t->service);
        for (uint32_t i = 0; i < t->n_methods; i++) {
            const struct gen_method *m = &t->methods[i];
            const char *name = gen_format(g, "%s_%s", t->prefix, m->snake);
            put_remote(g, t, m, name, out);
            gen_emit_comment(file, &m->path, NULL, out);
            if (!m->one_way) {
                put_ask(name, m, out);
                put_ask_begin(name, m, out);
            }
            fprintf(out,
                    "static inline int %s_tell(struct qk_client *client, struct qk_ref to, const %s *req)\n"
                    "{\n"
                    "    return qk_client_tell(client, %s_remote(), to, (const ProtobufCMessage *)req);\n"
                    "}\n\n",
                    name, m->request->c_type, name);
        }
    }
    gen_emit_end(out);
}

static void put_test_store(const struct gen_type *t, FILE *out)
{
    const char *state = t->state->c_type;
    fprintf(out,
            "static inline int %s_test_stored(struct qk_test *test, struct qk_ref ref, %s **ret_state)\n"
            "{\n"
            "    ProtobufCMessage *state = NULL;\n"
            "    int rc = qk_test_stored(test, &%s_type, ref, &state);\n"
            "    *ret_state = (%s *)state;\n"
            "    return rc;\n"
            "}\n\n",
            t->prefix, state, t->prefix, state);
    if (t->event != NULL) {
        gen_journal_test(t, out);
        return;
    }
    fprintf(out,
            "static inline int %s_test_store(struct qk_test *test, struct qk_ref ref, const %s *state)\n"
            "{\n"
            "    return qk_test_store(test, &%s_type, ref, (const ProtobufCMessage *)state);\n"
            "}\n\n",
            t->prefix, state, t->prefix);
}

static void put_test_ask(const char *name, const struct gen_method *m, FILE *out)
{
    const char *req = m->request->c_type, *rep = m->reply->c_type;
    fprintf(out,
            "static inline int %s_test_ask(struct qk_test *test, struct qk_ref to, const %s *req, %s **ret_rep)\n"
            "{\n"
            "    ProtobufCMessage *reply = NULL;\n"
            "    int rc = qk_test_ask(test, %s_method(), to, (const ProtobufCMessage *)req, ret_rep != NULL ? &reply : "
            "NULL);\n"
            "    if (ret_rep != NULL)\n"
            "        *ret_rep = (%s *)reply;\n"
            "    return rc;\n"
            "}\n\n",
            name, req, rep, name, rep);
}

void gen_emit_test(struct gen *g, const struct gen_file *file, FILE *out)
{
    gen_emit_begin(g, file, "TEST", out);
    fprintf(out, "#include <quark/test.h>\n#include \"%s.quark.h\"\n\n", file->stem);
    fputs("#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n", out);
    fputs("/* How a test calls actors in a test silo; quark/test.h says what comes back. Replies are made with malloc: "
          "free "
          "them\n * with protobuf_c_message_free_unpacked() or the message's own free_unpacked. */\n\n",
          out);
    for (const struct gen_type *t = g->types; t != NULL; t = t->next) {
        if (t->file != file)
            continue;
        fprintf(out, "/* ---- actor type `%s` (%s) ---- */\n\n", t->name, t->service);
        if (t->store != NULL && g->params.plugin != NULL)
            put_test_store(t, out);
        for (uint32_t i = 0; i < t->n_methods; i++) {
            const struct gen_method *m = &t->methods[i];
            const char *name = gen_format(g, "%s_%s", t->prefix, m->snake);
            if (!m->one_way)
                put_test_ask(name, m, out);
            fprintf(out,
                    "static inline int %s_test_tell(struct qk_test *test, struct qk_ref to, const %s *req)\n"
                    "{\n"
                    "    return qk_test_tell(test, %s_method(), to, (const ProtobufCMessage *)req);\n"
                    "}\n\n",
                    name, m->request->c_type, name);
        }
    }
    gen_emit_end(out);
}
