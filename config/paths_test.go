package config_test

import "testing"

func TestFaultsOfPaths(t *testing.T) {
	tests := map[string]faultRow{
		"a relative path":             {set: []string{"TOKEN_PATH", "token"}, want: []string{"token.path: is not a plain path"}},
		"a path with a wildcard":      {set: []string{"AUTH_PATH", "/auth/*"}, want: []string{"auth_path: is not a plain path"}},
		"a path with a parameter":     {set: []string{"TOKEN_PATH", "/:id"}, want: []string{"token.path: is not a plain path"}},
		"a path with dots":            {set: []string{"TOKEN_PATH", "/a/../b"}, want: []string{"token.path: is not a plain path"}},
		"a path with a slash at last": {set: []string{"AUTH_PATH", "/auth/"}, want: []string{"auth_path: is not a plain path"}},
		"auth_path left empty":        {set: []string{"AUTH_PATH", ""}, want: []string{"auth_path: is not a plain path"}, hint: "/api/auth"},
		"token.path left empty":       {set: []string{"TOKEN_PATH", ""}, want: []string{"token.path: is not a plain path"}, hint: "/api/cognito-token"},
		"both paths left empty":       {set: []string{"AUTH_PATH", "", "TOKEN_PATH", ""}, want: []string{"auth_path: is not a plain path", "token.path: is not a plain path"}},
		"no path, where one is fixed": {set: []string{"AUTH_PATH", "/login/", "TOKEN_PATH", "/static/:id"}, want: []string{"auth_path: is not a plain path", "token.path: is not a plain path"}},
		"token under auth":            {set: []string{"TOKEN_PATH", "/api/auth/session"}, want: []string{"token.path: collides with auth_path"}},
		"auth on the login page":      {set: []string{"AUTH_PATH", "/login"}, want: []string{"auth_path: collides with /login"}},
		"token on readyz":             {set: []string{"TOKEN_PATH", "/readyz"}, want: []string{"token.path: collides with /readyz"}},
		"token among assets":          {set: []string{"TOKEN_PATH", "/static/token"}, want: []string{"token.path: collides with /static"}},
	}
	expectEach(t, tests)
}
