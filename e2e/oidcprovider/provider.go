package oidcprovider

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	startLimit = time.Minute // a cold start takes 2 s on an idle machine
	stopLimit  = 5 * time.Second
	callLimit  = 10 * time.Second
	maxAnswer  = 1 << 20 // bytes of a page or document
)

// Config is how the provider knows its one client. Lives are whole seconds. The zero value of each field takes the default.
type Config struct {
	ClientID     string // default "e2e"
	ClientSecret string // default "e2e-secret"
	ClientAuth   string // default "client_secret_basic"; or "client_secret_post", "none" for a public client

	RedirectURIs           []string // at least one is needed to sign in
	PostLogoutRedirectURIs []string
	BackchannelLogoutURI   string // where logout tokens go; default: none are sent

	AccessLife  time.Duration // of access tokens; default 5 min
	IDLife      time.Duration // of ID tokens; default 5 min
	RefreshLife time.Duration // of refresh tokens, and of the provider's own session; default 24 h

	// Resource makes access tokens JWTs for this audience, an absolute URI. Default: they are opaque.
	Resource string
}

// Provider is a running provider.
type Provider struct {
	Issuer       string // http://127.0.0.1:port
	ClientID     string
	ClientSecret string

	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer // to be read after the process has ended
}

// Start runs a provider until the test ends. Where node or its modules are missing the test is skipped, and fails under CI=true.
func Start(t testing.TB, c Config) *Provider {
	t.Helper()
	script := findScript(t)
	p, err := start(script, c)
	if err != nil {
		t.Fatalf("start the certified provider: %v", err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Stop ends the provider before the test does, for tests of an outage. It may be called more than once.
func (p *Provider) Stop() {
	_ = p.stdin.Close()
	kill := time.AfterFunc(stopLimit, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
}

func start(script string, c Config) (*Provider, error) {
	settings, err := json.Marshal(c.settings())
	if err != nil {
		return nil, fmt.Errorf("write its settings: %w", err)
	}
	p := &Provider{ClientID: c.clientID(), ClientSecret: c.clientSecret(), stderr: &bytes.Buffer{}}
	p.cmd = exec.Command("node", script)
	p.cmd.Env = append(os.Environ(), "OIDC_PROVIDER_CONFIG="+string(settings), "NODE_OPTIONS=")
	p.cmd.Stderr = p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("open its input: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("open its output: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("run node: %w", err)
	}
	if p.Issuer, err = p.awaitReady(out); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%w; it said: %s", err, p.stderr)
	}
	return p, nil
}

func (p *Provider) awaitReady(out io.Reader) (issuer string, err error) {
	kill := time.AfterFunc(startLimit, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	line, err := bufio.NewReader(io.LimitReader(out, maxAnswer)).ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("read its address: %w", err)
	}
	var ready struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return "", fmt.Errorf("read its address: %w", err)
	}
	return ready.Issuer, nil
}

// findScript goes up from the test's folder to the module's root.
func findScript(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
	if _, err := exec.LookPath("node"); err != nil {
		unavailable(t, "node is not installed")
	}
	if _, err := os.Stat(filepath.Join(dir, "e2e", "node_modules", "oidc-provider", "package.json")); err != nil {
		unavailable(t, "e2e/node_modules is not installed")
	}
	return filepath.Join(dir, "e2e", "oidc-provider", "server.mjs")
}

func unavailable(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: run \"make setup\"", what)
	}
	t.Skipf("the certified provider cannot run: %s; run \"make setup\"", what)
}

// Counts is what was asked of the provider since it started.
type Counts struct {
	Granted       map[string]int `json:"granted"`       // grant type → token answers
	Refused       []Refusal      `json:"refused"`       // the newest 200, newest last
	GrantsRevoked int            `json:"grantsRevoked"` // by revocation, by logout, by a token or code that came back
	Revocations   int            `json:"revocations"`   // calls of the revocation endpoint that it accepted
	Logouts       int            `json:"logouts"`       // sessions ended at the provider
}

// Refusal is a token call that was refused. Detail is what the provider tells its operator, and no client.
type Refusal struct {
	Grant  string `json:"grant"`
	Error  string `json:"error"`
	Detail string `json:"detail"`
}

// Counts asks the provider for its counters.
func (p *Provider) Counts(t testing.TB) Counts {
	t.Helper()
	client := http.Client{Timeout: callLimit}
	res, err := client.Get(p.Issuer + "/e2e/counts")
	if err != nil {
		t.Fatalf("ask the provider for its counts: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	var c Counts
	err = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&c)
	if err = errors.Join(err, statusError(res, http.StatusOK)); err != nil {
		t.Fatalf("read the provider's counts: %v", err)
	}
	return c
}

func statusError(res *http.Response, want int) error {
	if res.StatusCode == want {
		return nil
	}
	return fmt.Errorf("%s %s: status %d, want %d", res.Request.Method, res.Request.URL.Path, res.StatusCode, want)
}
