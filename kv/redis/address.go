package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vestibule/kv"
)

const (
	defaultPrefix  = "vestibule:"
	defaultTimeout = kv.DefaultGuardTimeout
	maxTimeout     = 10 * time.Second
	maxURL         = 4096 // bytes
	maxHosts       = 32
	maxPrefix      = 64 // bytes
	maxPool        = 10_000
)

// address is a cache URL taken apart.
type address struct {
	tls                bool
	username, password string
	hosts              []string // host:port
	db                 int
	prefix             string
	cluster            bool
	sentinel           sentinel
	poolSize           int           // 0: the driver's default, ten for each CPU
	timeout            time.Duration // of one call
	files              tlsFiles
}

// sentinel is set when the hosts are Sentinels.
type sentinel struct {
	master             string // the name that they watch the server under
	username, password string
}

// tlsFiles are what a server that is not in the system's books needs.
type tlsFiles struct {
	serverName    string // default: the host dialled
	ca, cert, key string // paths of PEM files
}

// parseAddress reads redis[s]://[[user]:password@]host[:port][,host…][/db][?options]. Its errors repeat nothing of the
// text: a password with a sign that was not escaped may have strayed into any part of it.
func parseAddress(text string) (address, error) {
	a := address{prefix: defaultPrefix, timeout: defaultTimeout}
	if len(text) > maxURL {
		return a, fmt.Errorf("is over %d bytes", maxURL)
	}
	rest, plain := strings.CutPrefix(text, "redis://")
	if !plain {
		if rest, a.tls = strings.CutPrefix(text, "rediss://"); !a.tls {
			return a, errors.New("does not start with redis:// or rediss://")
		}
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(text, "#") {
		return a, errors.New("holds a # (write %23 in a password)")
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := a.setUser(authority[:at]); err != nil {
			return a, err
		}
		authority = authority[at+1:]
	}
	// The options first: they say what the hosts are.
	if err := a.setOptions(query); err != nil {
		return a, err
	}
	if err := a.setHosts(authority); err != nil {
		return a, err
	}
	if err := a.setDatabase(path); err != nil {
		return a, err
	}
	return a, a.agree()
}

func (a *address) setUser(text string) error {
	user, password, _ := strings.Cut(text, ":")
	var errUser, errPassword error
	a.username, errUser = url.PathUnescape(user)
	a.password, errPassword = url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return errors.New("has a user or password with a stray % (write %25)")
	}
	if a.password == "" {
		return errors.New("has a user without a password (write user:password@, or :password@)")
	}
	return nil
}

func (a *address) setHosts(list string) error {
	port := "6379"
	if a.sentinel.master != "" {
		port = "26379"
	}
	for i, text := range strings.Split(list, ",") {
		host, err := splitHost(text, port)
		if err != nil || i == maxHosts {
			return fmt.Errorf("host %d %w", i+1, errors.Join(err, errTooMany(i)))
		}
		a.hosts = append(a.hosts, host)
	}
	return nil
}

func errTooMany(i int) error {
	if i < maxHosts {
		return nil
	}
	return fmt.Errorf("is one too many: %d are the most", maxHosts)
}

// splitHost completes host, host:port, [address] or [address]:port.
func splitHost(text, defaultPort string) (string, error) {
	host, port := text, defaultPort
	bracketed := strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]")
	if bracketed {
		host = text[1 : len(text)-1]
	} else if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", errors.New("is not host:port")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("has no port between 1 and 65535")
	}
	if !isHost(host) {
		return "", errors.New("has no name of letters, digits, dots and hyphens")
	}
	return net.JoinHostPort(host, port), nil
}

func isHost(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	for _, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", c) {
			return false
		}
	}
	return name != "" && len(name) <= 253
}

func (a *address) setDatabase(path string) error {
	if path == "" {
		return nil
	}
	n, err := strconv.ParseUint(path, 10, 16)
	if err != nil {
		return errors.New("has a path that is no database number (write %2F for a / in a password)")
	}
	a.db = int(n)
	return nil
}

// agree checks what only the whole can say.
func (a *address) agree() error {
	f := a.files
	switch {
	case a.cluster && a.sentinel.master != "":
		return errors.New("asks for both cluster and sentinel_master")
	case a.cluster && a.db != 0:
		return errors.New("names a database, and a cluster has only 0")
	case len(a.hosts) > 1 && !a.cluster && a.sentinel.master == "":
		return errors.New("names several hosts without saying what they are (add cluster=true or sentinel_master=NAME)")
	case a.sentinel.master == "" && (a.sentinel.username != "" || a.sentinel.password != ""):
		return errors.New("has a sentinel password without sentinel_master")
	case !a.tls && f != (tlsFiles{}):
		return errors.New("has options for TLS, which only rediss:// uses")
	case (f.cert == "") != (f.key == ""):
		return errors.New("wants cert_file and key_file together")
	}
	return nil
}
