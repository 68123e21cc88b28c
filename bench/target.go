package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/secret"
	"vestibule/session"
)

// unseenCookies is more than the server remembers, so that walking through them in turn never meets a remembered one.
const unseenCookies = 20000

// target is a server process under load.
type target struct {
	cmd     *exec.Cmd
	url     string
	started time.Duration // from exec to the first answer
}

// cpu is the processor time that the process and its children have used: the scheduler's own count of nanoseconds, over all threads. The coarser
// count in /proc/PID/stat samples a hundred times a second, and is off by a fifth on a virtual machine.
func (t *target) cpu() (time.Duration, error) {
	var threads []string
	for _, pid := range t.processes() {
		of, err := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
		if err != nil {
			return 0, err
		}
		threads = append(threads, of...)
	}
	var sum time.Duration
	for _, thread := range threads {
		b, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		var used int64
		if _, err := fmt.Sscan(string(b), &used); err != nil {
			return 0, fmt.Errorf("read %s: %w", thread, err)
		}
		sum += time.Duration(used)
	}
	if sum == 0 {
		return 0, errors.New("the kernel counts no processor time per thread (schedstat)")
	}
	return sum, nil
}

// processes are the process and its children.
func (t *target) processes() []string {
	pid := strconv.Itoa(t.cmd.Process.Pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return []string{pid} // it has ended: what is asked next says so
	}
	return append([]string{pid}, strings.Fields(string(children))...)
}

// stop asks the process to end, so that it ends its children, and makes it if it does not.
func (t *target) stop() {
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	last := time.AfterFunc(10*time.Second, func() { _ = t.cmd.Process.Kill() })
	defer last.Stop()
	_ = t.cmd.Wait()
}

// memory is the resident set in MB.
func (t *target) memory() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory in use: %w", err)
	}
	return residentSet(string(status))
}

// residentSet reads VmRSS out of /proc/PID/status, in MB. A process without one has ended, and its memory is not small but
// unknown.
func residentSet(status string) (float64, error) {
	for line := range strings.Lines(status) {
		var kB float64
		if _, err := fmt.Sscanf(line, "VmRSS: %g kB", &kB); err == nil && kB > 0 {
			return kB / 1024, nil
		}
	}
	return 0, errors.New("read the memory in use: the kernel tells no VmRSS")
}

// stage is all that takes part.
type stage struct {
	dir                      string
	provider                 *devidp.Server
	bare, vestibule          *target
	machine                  machineStage
	cookies                  []string // Cookie headers of one session, each sealed anew
	cookieBytes, storedBytes int
}

func (s *stage) close() {
	for _, t := range []*target{s.bare, s.vestibule, s.machine.bare, s.machine.nginx, s.machine.vestibule} {
		if t != nil {
			t.stop()
		}
	}
	if s.provider != nil {
		_ = s.provider.Close()
	}
	_ = os.RemoveAll(s.dir)
}

func newStage(ctx context.Context) (*stage, error) {
	dir, err := os.MkdirTemp("", "vestibule-bench")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	if err := s.set(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) set(ctx context.Context) error {
	for _, name := range []string{"./cmd/vestibule", "./bench/bare"} {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", s.dir+"/", name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as "make build" does
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w: %s", name, err, out)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	public := "http://" + address
	s.provider, err = devidp.Start(devidp.Config{RedirectURIs: []string{public + "/api/auth/sign-in-callback"}})
	if err != nil {
		return err
	}
	if err := s.provider.WaitReady(ctx); err != nil {
		return err
	}
	key := secret.GenerateKey()
	if s.vestibule, err = s.startVestibule(ctx, address, key); err != nil {
		return err
	}
	token, err := s.signIn(ctx, public, key)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if s.bare, err = s.startBare(ctx, token); err != nil {
		return err
	}
	return s.setMachine(ctx)
}

// startVestibule starts the built binary; settings are further variables of its environment.
func (s *stage) startVestibule(ctx context.Context, address, key string, settings ...string) (*target, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "vestibule"), "serve")
	cmd.Env = append(os.Environ(),
		"VESTIBULE_LISTEN="+address, "VESTIBULE_ADMIN_LISTEN=", "VESTIBULE_PUBLIC_URL=http://"+address,
		"VESTIBULE_PROVIDER_ISSUER="+s.provider.Issuer(), "VESTIBULE_PROVIDER_CLIENT_ID="+s.provider.ClientID(),
		"VESTIBULE_PROVIDER_CLIENT_SECRET="+s.provider.ClientSecret(), "VESTIBULE_SESSION_KEYS="+key)
	cmd.Env = append(cmd.Env, settings...)
	logFile, err := os.CreateTemp(s.dir, "vestibule-*.log")
	if err != nil {
		return nil, err
	}
	cmd.Stderr = logFile // the log is written as in production
	t := &target{cmd: cmd, url: "http://" + address}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for {
		resp, err := http.Get(t.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				t.started = time.Since(begin)
				return t, nil
			}
		}
		if time.Since(begin) > 10*time.Second {
			return t, errors.New("vestibule does not become ready: " + logFile.Name())
		}
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *stage) startBare(ctx context.Context, body string, args ...string) (*target, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "bare"), args...)
	cmd.Stdin = strings.NewReader(body)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return &target{cmd: cmd, url: strings.TrimSpace(line)}, err
}

// signIn goes through the front door once, and then seals the session that came out many times: every seal has its own random
// start, so every cookie is one that the server has never seen.
func (s *stage) signIn(ctx context.Context, public, key string) (token string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begin, _, err := fetch(client, public+"/api/auth/sign-in")
	if err != nil {
		return "", err
	}
	back, err := s.provider.SignIn(ctx, begin.Header.Get("Location"), s.provider.Users()[0])
	if err != nil {
		return "", err
	}
	if _, _, err := fetch(client, back); err != nil {
		return "", err
	}
	answer, body, err := fetch(client, public+tokenPath)
	if err != nil || answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the token answer is %v: %w", answer.Status, err)
	}
	u, err := url.Parse(public)
	if err != nil {
		return "", err
	}
	var header []string
	for _, c := range jar.Cookies(u) {
		header = append(header, c.Name+"="+c.Value)
	}
	return body, s.seal(ctx, strings.Join(header, "; "), key)
}

func fetch(client *http.Client, address string) (*http.Response, string, error) {
	resp, err := client.Get(address)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func (s *stage) seal(ctx context.Context, cookie, key string) error {
	ring, err := secret.NewRing(secret.New([]byte(key)))
	if err != nil {
		return err
	}
	m, err := session.New(session.Config{
		Keys: ring, Store: kv.NewMemory(kv.MemoryConfig{}), Provider: nobody{}, CookieName: "vestibule",
		Issuer: s.provider.Issuer(), ClientID: s.provider.ClientID(),
	})
	if err != nil {
		return err
	}
	held, err := m.Load(ctx, []string{cookie})
	if err != nil {
		return fmt.Errorf("read the session back: %w", err)
	}
	for range unseenCookies {
		cookies, err := m.Cookies(held, nil)
		if err != nil {
			return err
		}
		if len(cookies) != 1 {
			return fmt.Errorf("the session takes %d cookies, want 1", len(cookies))
		}
		c := cookies[0]
		s.cookies = append(s.cookies, c.Name+"="+c.Value)
		s.cookieBytes, s.storedBytes = len(c.Name)+len(c.Value), len(c.String())
	}
	return nil
}

// nobody refreshes nothing: the manager here only seals.
type nobody struct{}

// Refresh implements session.Provider.
func (nobody) Refresh(context.Context, session.Tokens) (session.Tokens, error) {
	return session.Tokens{}, session.ErrRefused
}

// Confirm implements session.Provider.
func (nobody) Confirm(context.Context, session.Tokens, session.Tokens) (session.Tokens, error) {
	return session.Tokens{}, session.ErrRefused
}

// Revoke implements session.Provider.
func (nobody) Revoke(context.Context, string) error { return nil }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
