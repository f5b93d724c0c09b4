// SPDX-License-Identifier: GPL-3.0-or-later
// A PAM module that does what modules may do and Debian's do not: says something, asks in the open
// and in several lines, names the user anew, and dies. Loaded by the services of test_pam.sh.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

static int asks(pam_handle_t *pamh) {
	char *answer = NULL;
	int result;

	pam_info(pamh, "The door is\nopen.");
	result = pam_prompt(pamh, PAM_PROMPT_ECHO_ON, &answer, "Colour: ");
	if (result == PAM_SUCCESS && (answer == NULL || strcmp(answer, "blue & green") != 0))
		result = PAM_AUTH_ERR;
	free(answer);
	if (result != PAM_SUCCESS) {
		pam_error(pamh, "That was <wrong>.");
		return result;
	}
	answer = NULL;
	result = pam_prompt(pamh, PAM_PROMPT_ECHO_OFF, &answer, "1. left\n2. right\nWhich: ");
	if (result == PAM_SUCCESS && (answer == NULL || strcmp(answer, "2") != 0))
		result = PAM_AUTH_ERR;
	free(answer);
	return result;
}

// As a directory does that knows users in any case.
static int renames(pam_handle_t *pamh) {
	const char *user = NULL;

	if (pam_get_user(pamh, &user, NULL) != PAM_SUCCESS)
		return PAM_USER_UNKNOWN;
	return strcasecmp(user, "ann") == 0 ? pam_set_item(pamh, PAM_USER, "ann") : PAM_SUCCESS;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv) {
	const char *what = argc == 1 ? argv[0] : "";

	if (strcmp(what, "asks") == 0)
		return asks(pamh);
	if (strcmp(what, "renames") == 0)
		return renames(pamh);
	if (strcmp(what, "dies") == 0)
		raise(SIGKILL);
	return PAM_SERVICE_ERR;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv) {
	return PAM_SUCCESS;
}
