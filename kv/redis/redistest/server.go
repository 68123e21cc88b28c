// Package redistest runs real Redis servers for tests: alone, as a Sentinel, as the nodes of a Cluster, with TLS. It owns the
// process and its folder, and refuses to leave either behind: a server dies with the test, also when the test is killed.
// It keeps nothing on disk, so a restarted server has forgotten everything.
//
//	Start → Server.Addr, URL → Pause, Resume, Stop, Restart, Reconfigure
//
// Everything is in this file.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vestibule/kv/kvtest/testproc"
)

const (
	startLimit = 20 * time.Second // a start takes some 20 ms on an idle machine
	attempts   = 5                // another process may take the free port first
)

// Config configures Start; its zero value is a plain server without a password.
type Config struct {
	// Lines are further lines of redis.conf. {dir} stands for the server's folder, {port} for its port.
	Lines []string
	// Cluster makes it a node of a Cluster, without slots.
	Cluster bool
	// Sentinel makes it a Sentinel, with Lines saying what it watches.
	Sentinel bool
	// TLS makes the port one that speaks only TLS; Lines name the certificates.
	TLS bool
	// Files are written into the server's folder first, by name.
	Files map[string][]byte
}

// Server is a running server.
type Server struct {
	Port int
	Bus  int    // where nodes of a Cluster talk to each other
	Dir  string // its folder, gone with the test

	t      testing.TB
	config Config
	server testproc.Process
}

// Start runs a server until the test ends. Where redis-server is missing the test is skipped, and fails under CI=true.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		const missing = "redis-server is missing: run e2e/setup.sh, or install it"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	s := &Server{t: t, config: c, Dir: t.TempDir()}
	for name, content := range c.Files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	var err error
	for range attempts {
		if s.Port, err = testproc.FreePort(); err != nil {
			t.Fatal(err)
		}
		if s.Bus, err = testproc.FreePort(); err != nil {
			t.Fatal(err)
		}
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatalf("start redis-server: %v", err)
	return nil
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is redis:// and the address.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Stop kills the server without warning. It may be called more than once.
func (s *Server) Stop() { s.server.Stop() }

// Restart kills the server and starts it anew at the same address, with nothing in it.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart redis-server: %v", err)
	}
}

// Reconfigure kills the server and starts it anew with other lines.
func (s *Server) Reconfigure(lines ...string) {
	s.t.Helper()
	s.config.Lines = lines
	s.Restart()
}

// Pause stops the process without closing its connections: it answers nothing until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(what syscall.Signal) {
	s.t.Helper()
	if err := s.server.Signal(what); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}

func (s *Server) run() error {
	conf := filepath.Join(s.Dir, "redis.conf") // a Sentinel writes into it
	if err := os.WriteFile(conf, []byte(s.settings()), 0o600); err != nil {
		return err
	}
	command := []string{"redis-server", conf}
	if s.config.Sentinel {
		command = append(command, "--sentinel")
	}
	return s.server.Run(startLimit, isReady, command...)
}

func (s *Server) settings() string {
	port := "port {port}\n"
	if s.config.TLS {
		port = "port 0\ntls-port {port}\n"
	}
	all := port + "bind 127.0.0.1\ndir {dir}\n"
	if !s.config.Sentinel {
		all += "save \"\"\nappendonly no\n"
	}
	if s.config.Cluster {
		all += fmt.Sprintf("cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port %d\n", s.Bus)
	}
	all += strings.Join(s.config.Lines, "\n") + "\n"
	return strings.NewReplacer("{dir}", s.Dir, "{port}", strconv.Itoa(s.Port)).Replace(all)
}

func isReady(line string) bool {
	return strings.Contains(line, "Ready to accept connections") || strings.Contains(line, "+monitor master")
}
