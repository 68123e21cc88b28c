package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"vestibule/secret"
)

const (
	// maxRetries is how often the driver sends a command again after a broken connection or an answer such as LOADING: once
	// gets past the dead connections that a restart of the server leaves in the pool. Writes bear it, see Put.
	maxRetries = 1
	// idleTime is below the 350 s after which AWS load balancers forget a connection.
	idleTime = 5 * time.Minute
	maxPEM   = 1 << 20 // bytes of a certificate file
)

// connect makes the driver's client for one server, Sentinel or Cluster; it reaches for nothing yet.
func connect(a address, c Config) (goredis.UniversalClient, error) {
	config, err := a.tlsConfig()
	if err != nil {
		return nil, err
	}
	// The driver knows one log for the process, and its default is standard error.
	goredis.SetLogger(driverLog{c.Logger})
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: a.hosts, IsClusterMode: a.cluster, DB: a.db,
		MasterName: a.sentinel.master, SentinelUsername: a.sentinel.username, SentinelPassword: a.sentinel.password,
		CredentialsProviderContext: credentials(c.URL),
		Protocol:                   2, // nothing of the third is used, and proxies know the second
		DisableIdentity:            true,
		DialTimeout:                a.timeout, ReadTimeout: a.timeout, WriteTimeout: a.timeout, PoolTimeout: a.timeout,
		ContextTimeoutEnabled: true,
		DialerRetries:         1, // kv.Guard has more patience and less haste
		MaxRetries:            maxRetries, MinRetryBackoff: 2 * time.Millisecond, MaxRetryBackoff: 20 * time.Millisecond,
		PoolSize: a.poolSize, ConnMaxIdleTime: idleTime,
		PipelinePoolSize: -1, // GetMany is the common call: it uses the one pool that pool_size bounds
		TLSConfig:        config,
	}), nil
}

// credentials reads user and password at each connection, so that a rotation needs no restart.
func credentials(from secret.Value) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) {
		a, err := parseAddress(string(from.Bytes()))
		if err != nil {
			return "", "", fmt.Errorf("the URL, read afresh, %w", err)
		}
		return a.username, a.password, nil
	}
}

func (a *address) tlsConfig() (*tls.Config, error) {
	if !a.tls {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.files.serverName}
	if a.files.ca != "" {
		pem, err := readPEM(a.files.ca)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_file: holds no certificate")
		}
	}
	if a.files.cert == "" {
		return c, nil
	}
	cert, err := readPEM(a.files.cert)
	if err != nil {
		return nil, fmt.Errorf("cert_file: %w", err)
	}
	key, err := readPEM(a.files.key)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, errors.New("cert_file and key_file: are no certificate and its key")
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// readPEM gives the cause without the path, which came out of a text that holds a password.
func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return nil, cause(err)
	}
	return pem, nil
}

func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// driverLog passes on what the driver says of its connections. What matters of it comes as an error too.
type driverLog struct{ log *slog.Logger }

// Printf implements the driver's interface.
func (d driverLog) Printf(ctx context.Context, format string, args ...any) {
	if d.log.Enabled(ctx, slog.LevelDebug) {
		d.log.DebugContext(ctx, "redis: "+fmt.Sprintf(format, args...))
	}
}
