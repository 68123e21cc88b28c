// Package oidcprovider runs the certified oidc-provider (npm) for tests: an OpenID provider that shares no author with ours.
//
// [Start] runs ../oidc-provider/server.mjs under node and ends it with the test; a [Browser] signs in there as a person would.
//
//	Start → Provider.Issuer, ClientID, ClientSecret → code under test → authorize URL
//	authorize URL → Browser.SignIn → callback URL → code under test
//
// It is test support and refuses to be more: anybody may sign in under any name. It imports nothing of ours. Without node, or before
// "make setup", tests that need it are skipped, and fail where CI=true. Read provider.go first, then browser.go.
package oidcprovider
