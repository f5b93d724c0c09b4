// SPDX-License-Identifier: GPL-3.0-or-later
// One PAM conversation, in a process of its own: what its modules block, crash or leave behind
// concerns nobody else. Started by pam.c, run by main.c.
//
// Packets come and go on standard input. The first prompt that hides what is typed gets the
// password of the first form; every other is a question to the user. What modules say in between
// is shown with the next question, or with the refusal.

#include "pam.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/ipc/ipc.h"

#define GROUPS_MAX 1024
#define GROUP_TEXT_LEN (1024u * 1024u) // of one group, with all of its members
#define ANSWER "Answer:"

struct talk {
	struct pam_order order;
	bool password_used;
	char said[IPC_MESSAGE_LEN]; // since the last question
};

// --- packets ---

static bool receive(void *data, size_t len) {
	return recv(STDIN_FILENO, data, len, 0) == (ssize_t)len;
}

static void answer(struct ipc_pam_answer *msg) {
	// Nobody there: nobody wants to know.
	(void)!send(STDIN_FILENO, msg, sizeof(*msg), MSG_NOSIGNAL);
}

// --- what modules say ---

// Adds to a text of `size` bytes, with a space between; line ends and what is no text become
// spaces. A character that does not fit whole is left out.
static void text_add(char *text, size_t size, const char *more) {
	size_t len = strlen(text), start;

	if (more == NULL || more[0] == '\0')
		return;
	if (len > 0 && len + 1 < size)
		text[len++] = ' ';
	start = len;
	for (; *more != '\0' && len + 1 < size; more++) {
		unsigned char c = (unsigned char)*more;

		text[len++] = c < 0x20 || c == 0x7f ? ' ' : *more;
	}
	if (*more != '\0') {
		while (len > start && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
			len--;
		if (len > start && (unsigned char)text[len - 1] >= 0xc0)
			len--;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	text[len] = '\0';
}

// A short prompt is the field's label; a long one, or one of several lines, is the form's text.
static void prompt_put(const char *said, const char *prompt, struct ipc_pam_answer *msg) {
	bool is_label = prompt != NULL && prompt[0] != '\0' && strlen(prompt) < IPC_LABEL_LEN &&
		strchr(prompt, '\n') == NULL;

	text_add(msg->message, sizeof(msg->message), said);
	if (is_label)
		text_add(msg->label, sizeof(msg->label), prompt);
	else
		text_add(msg->message, sizeof(msg->message), prompt);
	if (msg->label[0] == '\0')
		strcpy(msg->label, ANSWER);
	if (msg->message[0] == '\0')
		strcpy(msg->message, "One more answer is asked for.");
}

// --- the conversation ---

// NULL: the login is gone. The caller frees, as PAM does with what a conversation answers.
static char *question(struct talk *talk, const char *prompt, bool echo) {
	struct ipc_pam_answer msg = {.status = IPC_PAM_QUESTION, .echo = echo};
	struct ipc_pam_ask *ask = &talk->order.ask;
	char *text = NULL;

	if (!echo && !talk->password_used && ask->has_password) {
		talk->password_used = true;
		text = strdup(ask->password);
	} else {
		prompt_put(talk->said, prompt, &msg);
		talk->said[0] = '\0';
		explicit_bzero(ask->password, sizeof(ask->password));
		answer(&msg);
		if (receive(ask, sizeof(*ask)))
			text = strdup(ask->password);
	}
	explicit_bzero(ask->password, sizeof(ask->password));
	return text;
}

static int one(struct talk *talk, const struct pam_message *msg, struct pam_response *response) {
	switch (msg->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
	case PAM_PROMPT_ECHO_ON:
		response->resp = question(talk, msg->msg, msg->msg_style == PAM_PROMPT_ECHO_ON);
		return response->resp != NULL ? PAM_SUCCESS : PAM_CONV_ERR;
	case PAM_ERROR_MSG:
	case PAM_TEXT_INFO:
		text_add(talk->said, sizeof(talk->said), msg->msg);
		return PAM_SUCCESS;
	default:
		return PAM_CONV_ERR;
	}
}

static int converse(
	int count, const struct pam_message **msgs, struct pam_response **responses, void *arg) {
	struct pam_response *list;
	int result = PAM_SUCCESS;

	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	list = calloc((size_t)count, sizeof(*list));
	if (list == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < count && result == PAM_SUCCESS; i++)
		result = one(arg, msgs[i], &list[i]);
	if (result == PAM_SUCCESS) {
		*responses = list;
		return result;
	}
	for (int i = 0; i < count; i++) {
		if (list[i].resp != NULL)
			explicit_bzero(list[i].resp, strlen(list[i].resp));
		free(list[i].resp);
	}
	free(list);
	return result;
}

// --- the result ---

static void group_add(char *groups, size_t size, const char *name) {
	size_t used = strlen(groups), len = strlen(name);

	if (len == 0 || len >= IPC_GROUP_LEN || strpbrk(name, ", \t") != NULL ||
		used + (used > 0) + len >= size)
		return;
	if (used > 0)
		groups[used++] = ',';
	memcpy(groups + used, name, len + 1);
}

// The groups that the system knows of the user: the primary one first. A user that it does not
// know has none.
static void groups_put(const char *user, uint32_t gid_min, struct ipc_pam_answer *msg) {
	const struct passwd *entry = getpwnam(user);
	static gid_t gids[GROUPS_MAX];
	static char text[GROUP_TEXT_LEN];
	int count = GROUPS_MAX;

	if (entry == NULL)
		return;
	// More than there is room for: as many as that.
	if (getgrouplist(user, entry->pw_gid, gids, &count) < 0)
		count = GROUPS_MAX;
	for (int i = 0; i < count; i++) {
		struct group storage, *group = NULL;

		if (gids[i] >= gid_min &&
			getgrgid_r(gids[i], &storage, text, sizeof(text), &group) == 0 &&
			group != NULL)
			group_add(msg->groups, sizeof(msg->groups), group->gr_name);
	}
}

// PAM_USER as the modules left it.
static uint32_t user_put(pam_handle_t *pam, const struct talk *talk, struct ipc_pam_answer *msg) {
	const void *item = NULL;

	if (pam_get_item(pam, PAM_USER, &item) != PAM_SUCCESS || item == NULL ||
		strlen(item) >= sizeof(msg->user) || ((const char *)item)[0] == '\0')
		return IPC_PAM_UNDECIDED;
	strcpy(msg->user, item);
	groups_put(msg->user, talk->order.gid_min, msg);
	return IPC_PAM_PASSED;
}

static uint32_t status_of(int result) {
	switch (result) {
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_PERM_DENIED:
	case PAM_MAXTRIES:
	case PAM_ACCT_EXPIRED:
	case PAM_CRED_ERR:
	case PAM_CRED_EXPIRED:
	case PAM_CRED_INSUFFICIENT:
	case PAM_CRED_UNAVAIL:
	case PAM_AUTHTOK_ERR:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
		return IPC_PAM_FAILED;
	default: // a module or a service is broken or out of reach
		return IPC_PAM_UNDECIDED;
	}
}

static int authenticate(pam_handle_t *pam, struct talk *talk) {
	char text[ADDR_TEXT_LEN];
	int result;

	result = pam_set_item(pam, PAM_RHOST, addr_text(&talk->order.ask.remote, text));
	if (result == PAM_SUCCESS)
		result = pam_authenticate(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (result == PAM_SUCCESS)
		result = pam_acct_mgmt(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (result == PAM_NEW_AUTHTOK_REQD)
		text_add(talk->said, sizeof(talk->said),
			"Your password has expired: it has to be changed before you can log in.");
	return result;
}

static void run(struct talk *talk) {
	const struct pam_conv conversation = {converse, talk};
	struct ipc_pam_answer msg = {.status = IPC_PAM_UNDECIDED};
	pam_handle_t *pam = NULL;
	int result;

	result = pam_start(talk->order.service, talk->order.ask.username, &conversation, &pam);
	if (result == PAM_SUCCESS)
		result = authenticate(pam, talk);
	if (result == PAM_SUCCESS)
		msg.status = user_put(pam, talk, &msg);
	else
		msg.status = status_of(result);
	text_add(msg.why, sizeof(msg.why), pam_strerror(pam, result));
	text_add(msg.message, sizeof(msg.message), talk->said);
	if (pam != NULL)
		pam_end(pam, result);
	answer(&msg);
}

int pam_login_main(void) {
	struct talk talk = {0};

	if (!receive(&talk.order, sizeof(talk.order)))
		return EXIT_FAILURE;
	run(&talk);
	explicit_bzero(&talk, sizeof(talk));
	return EXIT_SUCCESS;
}
