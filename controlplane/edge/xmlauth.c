// SPDX-License-Identifier: GPL-3.0-or-later
// The config-auth XML of the login exchange, by libxml2; called by portal.c.

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/tree.h>
#include <libxml/xmlwriter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/wiping.h"
#include "encode.h"
#include "xmlauth.h"

#define URL_LEN 1024u

int xmlauth_init(void) {
	if (xmlMemSetup(wiping_free, malloc, wiping_realloc, strdup) != 0)
		return -ENOMEM;
	xmlInitParser();
	return 0;
}

// A document type declaration is where entities come from: stop at once.
static void refuse_doctype(
	void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system) {
	xmlStopParser(arg);
}

static void say_nothing(void *arg, const char *msg, ...) {
}

static xmlDoc *document_read(const char *body, size_t len) {
	xmlParserCtxt *ctxt;
	xmlDoc *doc = NULL;

	ctxt = xmlCreateMemoryParserCtxt(body, (int)len);
	if (ctxt == NULL)
		return NULL;
	xmlCtxtUseOptions(ctxt,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
	ctxt->sax->internalSubset = refuse_doctype;
	ctxt->sax->externalSubset = refuse_doctype;
	ctxt->sax->error = say_nothing;
	ctxt->sax->warning = say_nothing;
	ctxt->sax->fatalError = say_nothing;
	xmlParseDocument(ctxt);
	if (ctxt->wellFormed && ctxt->myDoc != NULL)
		doc = ctxt->myDoc;
	else
		xmlFreeDoc(ctxt->myDoc);
	ctxt->myDoc = NULL;
	xmlFreeParserCtxt(ctxt);
	return doc;
}

static bool is(const xmlNode *node, const char *name) {
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static bool text_ok(const char *text) {
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

// The text of a leaf element. Given twice, too long or with control characters: false.
static bool leaf_copy(char *out, size_t size, const xmlNode *node) {
	size_t len = 0;

	if (out[0] != '\0')
		return false;
	for (const xmlNode *child = node->children; child != NULL; child = child->next) {
		const char *text = (const char *)child->content;
		size_t n;

		if (child->type == XML_COMMENT_NODE)
			continue;
		if (child->type != XML_TEXT_NODE || text == NULL)
			return false;
		n = strlen(text);
		if (n >= size - len)
			return false;
		memcpy(out + len, text, n + 1);
		len += n;
	}
	return text_ok(out);
}

// An element that may be there once, even if empty.
static bool once_copy(bool *seen, char *out, size_t size, const xmlNode *node) {
	if (*seen || !leaf_copy(out, size, node))
		return false;
	*seen = true;
	return true;
}

static bool is_answer(const xmlNode *node) {
	const char *name = (const char *)node->name;

	return node->type == XML_ELEMENT_NODE && creds_is_answer(name, strlen(name));
}

static bool auth_read(struct creds *creds, const xmlNode *auth) {
	for (const xmlNode *node = auth->children; node != NULL; node = node->next) {
		if (is(node, "username")) {
			if (!once_copy(&creds->has_username, creds->username,
				    sizeof(creds->username), node))
				return false;
		} else if (is(node, "password")) {
			if (!once_copy(&creds->has_password, creds->password,
				    sizeof(creds->password), node))
				return false;
		} else if (is_answer(node)) {
			if (!once_copy(
				    &creds->has_answer, creds->answer, sizeof(creds->answer), node))
				return false;
		} else if (is(node, "group_list") || is(node, "group-select")) {
			if (!leaf_copy(creds->group, sizeof(creds->group), node))
				return false;
		}
	}
	return true;
}

// https://host[:port]/GROUP, with or without more behind it. What is no such URL, or too long to be
// that of a group, names none.
static void access_read(struct creds *creds, const xmlNode *node) {
	char url[URL_LEN] = "";
	const char *path;
	size_t len;

	if (!leaf_copy(url, sizeof(url), node))
		return;
	path = strstr(url, "://");
	path = path != NULL ? strchr(path + 3, '/') : NULL;
	if (path == NULL || creds->url_group[0] != '\0')
		return;
	path++;
	len = strcspn(path, "/?#");
	if (!percent_decode(creds->url_group, sizeof(creds->url_group), path, len, false))
		creds->url_group[0] = '\0';
}

static enum creds_kind kind_of(xmlNode *root) {
	xmlChar *type = xmlGetProp(root, (const xmlChar *)"type");
	enum creds_kind kind = CREDS_NONE;

	if (type == NULL)
		return CREDS_NONE;
	if (strcmp((const char *)type, "init") == 0)
		kind = CREDS_INIT;
	else if (strcmp((const char *)type, "auth-reply") == 0)
		kind = CREDS_REPLY;
	else if (strcmp((const char *)type, "logout") == 0)
		kind = CREDS_LOGOUT;
	xmlFree(type);
	return kind;
}

static bool root_read(struct creds *creds, xmlNode *root) {
	if (root == NULL || !is(root, "config-auth"))
		return false;
	creds->kind = kind_of(root);
	for (const xmlNode *node = root->children; node != NULL; node = node->next) {
		if (is(node, "auth")) {
			if (!auth_read(creds, node))
				return false;
		} else if (is(node, "group-select")) {
			if (!leaf_copy(creds->group, sizeof(creds->group), node))
				return false;
		} else if (is(node, "group-access")) {
			access_read(creds, node);
		} else if (is(node, "client-cert-fail")) {
			creds->no_certificate = true;
		}
	}
	return true;
}

int xmlauth_parse(struct creds *creds, const char *body, size_t len) {
	xmlDoc *doc;
	bool ok;

	memset(creds, 0, sizeof(*creds));
	doc = document_read(body, len);
	if (doc == NULL)
		return -EINVAL;
	ok = root_read(creds, xmlDocGetRootElement(doc));
	xmlFreeDoc(doc);
	if (ok)
		return 0;
	creds_wipe(creds);
	return -EINVAL;
}

#define X(s) ((const xmlChar *)(s))

static void element(xmlTextWriter *writer, const char *name, const char *text) {
	if (text != NULL && text[0] != '\0')
		xmlTextWriterWriteElement(writer, X(name), X(text));
}

// Text of an authentication server, which may hold anything.
static const char *utf8_text(char *out, size_t size, const char *text) {
	size_t n = 0;

	if (xmlCheckUTF8(X(text)))
		return text;
	for (; n < size - 1 && text[n] != '\0'; n++)
		out[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
	out[n] = '\0';
	return out;
}

static void open_envelope(xmlTextWriter *writer, const char *type, bool bare) {
	xmlTextWriterStartDocument(writer, "1.0", "UTF-8", NULL);
	if (bare)
		return;
	xmlTextWriterStartElement(writer, X("config-auth"));
	xmlTextWriterWriteAttribute(writer, X("client"), X("vpn"));
	xmlTextWriterWriteAttribute(writer, X("type"), X(type));
	xmlTextWriterWriteString(writer, X("\n"));
	xmlTextWriterStartElement(writer, X("version"));
	xmlTextWriterWriteAttribute(writer, X("who"), X("sg"));
	xmlTextWriterWriteString(writer, X("0.1(1)"));
	xmlTextWriterEndElement(writer);
	xmlTextWriterWriteString(writer, X("\n"));
}

static void input(xmlTextWriter *writer, const char *type, const char *name, const char *label) {
	xmlTextWriterStartElement(writer, X("input"));
	xmlTextWriterWriteAttribute(writer, X("type"), X(type));
	xmlTextWriterWriteAttribute(writer, X("name"), X(name));
	xmlTextWriterWriteAttribute(writer, X("label"), X(label));
	xmlTextWriterEndElement(writer);
	xmlTextWriterWriteString(writer, X("\n"));
}

// Clients take the first group for the one that is chosen, or the one marked so: both are it.
static void group_option(xmlTextWriter *writer, const struct cfg_group *group, bool chosen) {
	xmlTextWriterStartElement(writer, X("option"));
	xmlTextWriterWriteAttribute(writer, X("value"), X(group->name));
	if (chosen)
		xmlTextWriterWriteAttribute(writer, X("selected"), X("true"));
	xmlTextWriterWriteString(writer, X(group->label));
	xmlTextWriterEndElement(writer);
	xmlTextWriterWriteString(writer, X("\n"));
}

static bool is_chosen(const struct xmlauth_text *text, const struct cfg_group *group) {
	return text->group != NULL && strcmp(text->group, group->name) == 0;
}

static void groups(xmlTextWriter *writer, const struct xmlauth_text *text) {
	xmlTextWriterStartElement(writer, X("select"));
	xmlTextWriterWriteAttribute(writer, X("name"), X("group_list"));
	xmlTextWriterWriteAttribute(writer, X("label"), X("Group:"));
	xmlTextWriterWriteString(writer, X("\n"));
	for (size_t i = 0; i < text->nb_groups; i++) {
		if (is_chosen(text, &text->groups[i]))
			group_option(writer, &text->groups[i], true);
	}
	for (size_t i = 0; i < text->nb_groups; i++) {
		if (text->groups[i].selectable && !is_chosen(text, &text->groups[i]))
			group_option(writer, &text->groups[i], false);
	}
	xmlTextWriterEndElement(writer);
	xmlTextWriterWriteString(writer, X("\n"));
}

static void inputs(xmlTextWriter *writer, const struct xmlauth_text *text) {
	char name[32], label[IPC_LABEL_LEN];

	if (text->label != NULL) {
		// With a number where there was a question before, so that a client does not give
		// the answer to that once more.
		snprintf(name, sizeof(name),
			text->round > 0 ? "secondary_password%u" : "secondary_password",
			text->round + 1);
		input(writer, text->echo ? "text" : "password", name,
			utf8_text(label, sizeof(label), text->label));
		return;
	}
	input(writer, "text", "username", "Username:");
	input(writer, "password", "password", "Password:");
	if (text->nb_groups > 0)
		groups(writer, text);
}

static void form_body(xmlTextWriter *writer, const struct xmlauth_text *text) {
	char message[IPC_MESSAGE_LEN];

	open_envelope(writer, "auth-request", text->bare);
	xmlTextWriterStartElement(writer, X("auth"));
	xmlTextWriterWriteAttribute(writer, X("id"), X("main"));
	xmlTextWriterWriteString(writer, X("\n"));
	element(writer, "banner", text->banner);
	element(writer, "message", utf8_text(message, sizeof(message), text->message));
	xmlTextWriterStartElement(writer, X("form"));
	xmlTextWriterWriteAttribute(writer, X("method"), X("post"));
	xmlTextWriterWriteAttribute(writer, X("action"), X(text->action));
	xmlTextWriterWriteString(writer, X("\n"));
	inputs(writer, text);
}

static void success_body(xmlTextWriter *writer, const struct xmlauth_text *text) {
	open_envelope(writer, "complete", text->bare);
	xmlTextWriterStartElement(writer, X("auth"));
	xmlTextWriterWriteAttribute(writer, X("id"), X("success"));
	xmlTextWriterWriteString(writer, X("\n"));
	element(writer, "title", text->message);
	element(writer, "banner", text->banner);
}

static void document_write(struct buf *out, const struct xmlauth_text *text,
	void (*body)(xmlTextWriter *writer, const struct xmlauth_text *text)) {
	xmlBuffer *memory = xmlBufferCreate();
	xmlTextWriter *writer = memory ? xmlNewTextWriterMemory(memory, 0) : NULL;

	if (writer == NULL) {
		out->failed = true;
		goto out;
	}
	body(writer, text);
	// Closes all that is open; the writer reports its errors here at the latest.
	if (xmlTextWriterEndDocument(writer) < 0)
		out->failed = true;
	xmlFreeTextWriter(writer);
	buf_add(out, xmlBufferContent(memory), (size_t)xmlBufferLength(memory));
out:
	if (memory != NULL)
		xmlBufferFree(memory);
}

void xmlauth_form(struct buf *out, const struct xmlauth_text *text) {
	document_write(out, text, form_body);
}

static void certificate_body(xmlTextWriter *writer, const struct xmlauth_text *text) {
	open_envelope(writer, "auth-request", text->bare);
	xmlTextWriterStartElement(writer, X("client-cert-request"));
	xmlTextWriterEndElement(writer);
}

void xmlauth_certificate_request(struct buf *out, const struct xmlauth_text *text) {
	document_write(out, text, certificate_body);
}

void xmlauth_success(struct buf *out, const struct xmlauth_text *text) {
	document_write(out, text, success_body);
}
