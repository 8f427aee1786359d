package errcodec_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log"
	"math/big"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	texttemplate "text/template"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failure is a real error of the standard library, made by making it happen.
type failure struct {
	name   string
	happen func(t *testing.T) error
	itself any // a pointer to the type that must arrive, nil if none has to
}

func standardFailures() []failure {
	var all []failure
	all = append(all, osFailures()...)
	all = append(all, netFailures()...)
	all = append(all, httpFailures()...)
	all = append(all, textFailures()...)
	return append(all, otherFailures()...)
}

func TestRealErrorsOfTheStandardLibrary(t *testing.T) {
	var codec *errcodec.Codec // the built-in entries are enough
	for _, f := range standardFailures() {
		t.Run(f.name, func(t *testing.T) {
			want := f.happen(t)
			require.Error(t, want)
			data := codec.Encode(want)
			got := codec.Decode(data)
			requireSameTree(t, want, got)
			requireSameStandardAnswers(t, want, got)
			requireSameBytes(t, data, codec.Encode(got))
			if f.itself == nil {
				return
			}
			wanted, arrived := reflect.New(reflect.TypeOf(f.itself)), reflect.New(reflect.TypeOf(f.itself))
			require.True(t, errors.As(want, wanted.Interface()), "%#v", want)
			require.True(t, errors.As(got, arrived.Interface()), "%#v", got)
			assert.Equal(t, wanted.Elem().Interface().(error).Error(), arrived.Elem().Interface().(error).Error())
		})
	}
}

func requireSameBytes(t tester, want, got []byte) {
	t.Helper()
	require.True(t, bytes.Equal(want, got), "not the same bytes:\n%.300q\n%.300q", want, got)
}

// requireSameStandardAnswers asks for every sentinel that is built in, and
// whether the error is a time-out.
func requireSameStandardAnswers(t tester, want, got error) {
	t.Helper()
	var none *errcodec.Codec
	for _, known := range none.Registered() {
		if known.Sentinel != nil {
			require.Equal(t, errors.Is(want, known.Sentinel), errors.Is(got, known.Sentinel), known.Key)
		}
	}
	require.Equal(t, os.IsTimeout(want), os.IsTimeout(got))
	require.Equal(t, os.IsNotExist(want), os.IsNotExist(got))
	var a, b net.Error
	require.Equal(t, errors.As(want, &a), errors.As(got, &b), "is a net.Error")
	if a != nil {
		require.Equal(t, a.Timeout(), b.Timeout())
		require.Equal(t, a.(temporary).Temporary(), b.(temporary).Temporary())
	}
}

// temporary is what a net.Error says as well, though one should not ask.
type temporary interface{ Temporary() bool }

func osFailures() []failure {
	return []failure{
		{"open", func(t *testing.T) error { _, err := os.Open(filepath.Join(t.TempDir(), "none")); return err }, new(fs.PathError)},
		{"errno", func(t *testing.T) error { _, err := os.Open(t.TempDir() + "/none"); return err }, syscall.Errno(0)},
		{"mkdir", func(t *testing.T) error { return os.Mkdir(t.TempDir(), 0o700) }, new(fs.PathError)},
		{"rename", func(t *testing.T) error { return os.Rename(t.TempDir()+"/a", t.TempDir()+"/b") }, new(os.LinkError)},
		{"read closed file", func(t *testing.T) error {
			f, err := os.Create(t.TempDir() + "/f")
			require.NoError(t, err)
			require.NoError(t, f.Close())
			_, err = f.Write([]byte("x"))
			return err
		}, new(fs.PathError)},
		{"invalid fs path", func(t *testing.T) error { _, err := fs.ReadFile(os.DirFS(t.TempDir()), "../x"); return err }, new(fs.PathError)},
		{"read a directory", func(t *testing.T) error { _, err := os.ReadFile(t.TempDir()); return err }, new(fs.PathError)},
		{"deadline of a pipe", func(t *testing.T) error {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			defer w.Close()
			require.NoError(t, r.SetReadDeadline(time.Now().Add(-time.Second)))
			_, err = r.Read(make([]byte, 1))
			return err
		}, new(fs.PathError)},
		{"syscall", func(*testing.T) error { return os.NewSyscallError("kill", syscall.Kill(1<<22, 0)) }, new(os.SyscallError)},
		{"no such program", func(*testing.T) error { return exec.Command("no-such-program-at-all").Run() }, nil},
		{"exit code", func(*testing.T) error { return exec.Command("false").Run() }, nil},
		{"getwd", func(t *testing.T) error { return os.Chdir(t.TempDir() + "/none") }, new(fs.PathError)},
	}
}

func netFailures() []failure {
	return []failure{
		{"connection refused", func(t *testing.T) error {
			_, err := net.Dial("tcp", closedPort(t))
			return err
		}, new(net.OpError)},
		{"connection refused, unix", func(t *testing.T) error { _, err := net.Dial("unix", t.TempDir()+"/none"); return err }, new(net.OpError)},
		{"dial past its deadline", func(t *testing.T) error {
			d := net.Dialer{Deadline: time.Now().Add(-time.Second)}
			_, err := d.Dial("tcp", closedPort(t))
			return err
		}, new(net.OpError)},
		{"dial with cancelled context", func(t *testing.T) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := new(net.Dialer).DialContext(ctx, "tcp", closedPort(t))
			return err
		}, new(net.OpError)},
		{"read past its deadline", func(t *testing.T) error {
			conn := connected(t)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(-time.Second)))
			_, err := conn.Read(make([]byte, 1))
			return err
		}, new(net.OpError)},
		{"read closed connection", func(t *testing.T) error {
			conn := connected(t)
			require.NoError(t, conn.Close())
			_, err := conn.Read(make([]byte, 1))
			return err
		}, new(net.OpError)},
		{"unknown network", func(*testing.T) error { _, err := net.Dial("morse", "x"); return err }, net.UnknownNetworkError("")},
		{"missing port", func(*testing.T) error { _, err := net.Dial("tcp", "localhost"); return err }, new(net.AddrError)},
		{"unknown port", func(*testing.T) error { _, err := net.Dial("tcp", "127.0.0.1:no-such-service"); return err }, new(net.DNSError)},
		{"no such host", func(t *testing.T) error {
			broken := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no network here")
			}}
			_, err := broken.LookupHost(t.Context(), "shop.example")
			return err
		}, new(net.DNSError)},
		{"DNS past its deadline", func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
			defer cancel()
			_, err := (&net.Resolver{PreferGo: true}).LookupHost(ctx, "shop.example")
			return err
		}, new(net.DNSError)},
		{"parse CIDR", func(*testing.T) error { _, _, err := net.ParseCIDR("10.0.0.0/99"); return err }, new(net.ParseError)},
		{"parse MAC", func(*testing.T) error { _, err := net.ParseMAC("nonsense"); return err }, new(net.AddrError)},
		{"parse address", func(*testing.T) error { _, err := netip.ParseAddr("1.2.3"); return err }, nil},
		{"listen twice", func(t *testing.T) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			_, err = net.Listen("tcp", l.Addr().String())
			return err
		}, new(net.OpError)},
		{"closed pipe", func(*testing.T) error {
			a, b := net.Pipe()
			_ = b.Close()
			_, err := a.Write([]byte("x"))
			return err
		}, nil},
		{"URL", func(*testing.T) error { return parseURL("http://a b/") }, new(url.Error)},
		{"URL escape", func(*testing.T) error { _, err := url.QueryUnescape("%zz"); return err }, url.EscapeError("")},
		{"URL port", func(*testing.T) error { return parseURL("http://a:b/") }, new(url.Error)},
		{"URL host", func(*testing.T) error { return parseURL("http://a b/") }, url.InvalidHostError("")},
	}
}

func parseURL(text string) error { _, err := url.Parse(text); return err }

func marshal(v any) error { _, err := json.Marshal(v); return err }

func compile(text string) error { _, err := regexp.Compile(text); return err }

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func connected(t *testing.T) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func httpFailures() []failure {
	return []failure{
		{"GET refused", func(t *testing.T) error { return get(t, newClient(t), "http://"+closedPort(t)) }, new(url.Error)},
		{"GET refused, errno", func(t *testing.T) error { return get(t, newClient(t), "http://"+closedPort(t)) }, syscall.Errno(0)},
		{"client time-out", func(t *testing.T) error {
			client := newClient(t)
			client.Timeout = 20 * time.Millisecond
			return get(t, client, slowServer(t))
		}, new(url.Error)},
		{"context time-out", func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, slowServer(t), nil)
			require.NoError(t, err)
			_, err = newClient(t).Do(req) //nolint:bodyclose // it fails
			return err
		}, new(url.Error)},
		{"header time-out", func(t *testing.T) error {
			client := newClient(t)
			client.Transport.(*http.Transport).ResponseHeaderTimeout = 20 * time.Millisecond
			return get(t, client, slowServer(t))
		}, new(url.Error)},
		{"unknown scheme", func(t *testing.T) error { return get(t, newClient(t), "morse://x") }, new(url.Error)},
		{"too many redirects", func(t *testing.T) error {
			server := httptest.NewServer(http.RedirectHandler("/again", http.StatusFound))
			t.Cleanup(server.Close)
			return get(t, newClient(t), server.URL)
		}, new(url.Error)},
		{"server hangs up", func(t *testing.T) error {
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
			t.Cleanup(server.Close)
			return get(t, newClient(t), server.URL)
		}, new(url.Error)},
		{"server closed", func(*testing.T) error {
			server := new(http.Server)
			_ = server.Close()
			return server.ListenAndServe()
		}, nil},
		{"no cookie", func(*testing.T) error {
			_, err := httptest.NewRequest(http.MethodGet, "/", nil).Cookie("token")
			return err
		}, nil},
		{"body too large", func(*testing.T) error {
			_, err := io.ReadAll(http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader("abc")), 1))
			return err
		}, nil},
		{"malformed request", func(*testing.T) error {
			_, err := http.ReadRequest(bufio.NewReader(strings.NewReader("nonsense\r\n\r\n")))
			return err
		}, nil},
		{"unknown authority", func(t *testing.T) error {
			server := quietTLS(t)
			return get(t, newClient(t), server.URL)
		}, new(url.Error)},
		{"wrong host", func(t *testing.T) error {
			server := quietTLS(t)
			client := server.Client()
			client.Transport.(*http.Transport).TLSClientConfig.ServerName = "shop.invalid"
			return get(t, client, server.URL)
		}, new(url.Error)},
		{"no TLS there", func(t *testing.T) error {
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			_, err := tls.Dial("tcp", server.Listener.Addr().String(), nil)
			return err
		}, nil},
		{"TLS version", func(t *testing.T) error {
			server := quietTLS(t)
			server.TLS.MinVersion = tls.VersionTLS13
			_, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}) //nolint:gosec // it is a test
			return err
		}, new(net.OpError)},
		{"certificate", func(*testing.T) error { _, err := x509.ParseCertificate([]byte("nonsense")); return err }, nil},
		{"expired certificate", func(t *testing.T) error {
			cert := quietTLS(t).Certificate()
			_, err := cert.Verify(x509.VerifyOptions{CurrentTime: time.Unix(0, 0)})
			return err
		}, nil},
		{"PEM", func(*testing.T) error {
			_, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "X"}), nil)
			return err
		}, nil},
	}
}

func newClient(t *testing.T) *http.Client {
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, client *http.Client, address string) error {
	resp, err := client.Get(address)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return err
}

func slowServer(t *testing.T) string {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(end); server.Close() })
	return server.URL
}

func quietTLS(t *testing.T) *httptest.Server {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func textFailures() []failure {
	unmarshal := func(text string, to any) error { return json.Unmarshal([]byte(text), to) }
	return []failure{
		{"JSON ends", func(*testing.T) error { return unmarshal("{", new(any)) }, new(json.SyntaxError)},
		{"JSON syntax", func(*testing.T) error { return unmarshal(`{"a":?}`, new(any)) }, new(json.SyntaxError)},
		{"JSON type", func(*testing.T) error { return unmarshal(`{"A":"x"}`, new(struct{ A int })) }, nil},
		{"JSON into nothing", func(*testing.T) error { return unmarshal("{}", nil) }, nil},
		{"JSON of a channel", func(*testing.T) error { return marshal(make(chan int)) }, nil},
		{"JSON decoder", func(*testing.T) error { return json.NewDecoder(strings.NewReader(`{"a":`)).Decode(new(any)) }, nil},
		{"JSON of a value that fails", func(*testing.T) error { _, err := json.Marshal(failing{}); return err }, nil},
		{"XML", func(*testing.T) error { return xml.Unmarshal([]byte("<a><b></a>"), new(struct{})) }, nil},
		{"XML ends", func(*testing.T) error { return xml.Unmarshal(nil, new(struct{})) }, nil},
		{"CSV", func(*testing.T) error { _, err := csv.NewReader(strings.NewReader("a,\"b\nc")).ReadAll(); return err }, nil},
		{"Atoi", func(*testing.T) error { _, err := strconv.Atoi("seven"); return err }, new(strconv.NumError)},
		{"ParseInt range", func(*testing.T) error { _, err := strconv.ParseInt("99999999999999999999", 10, 64); return err }, new(strconv.NumError)},
		{"ParseBool", func(*testing.T) error { _, err := strconv.ParseBool("maybe"); return err }, new(strconv.NumError)},
		{"Unquote", func(*testing.T) error { _, err := strconv.Unquote("'"); return err }, nil},
		{"Sscan", func(*testing.T) error { _, err := fmt.Sscan("x", new(int)); return err }, nil},
		{"time", func(*testing.T) error { _, err := time.Parse(time.RFC3339, "today"); return err }, new(time.ParseError)},
		{"time range", func(*testing.T) error { _, err := time.Parse(time.DateOnly, "2024-13-01"); return err }, new(time.ParseError)},
		{"duration", func(*testing.T) error { _, err := time.ParseDuration("soon"); return err }, nil},
		{"location", func(*testing.T) error { _, err := time.LoadLocation("Nowhere/City"); return err }, nil},
		{"base64", func(*testing.T) error { _, err := base64.StdEncoding.DecodeString("a?"); return err }, base64.CorruptInputError(0)},
		{"hex", func(*testing.T) error { _, err := hex.DecodeString("zz"); return err }, hex.InvalidByteError(0)},
		{"hex length", func(*testing.T) error { _, err := hex.DecodeString("abc"); return err }, nil},
		{"regexp", func(*testing.T) error { return compile("(") }, nil},
		{"template", func(*testing.T) error { _, err := texttemplate.New("t").Parse("{{"); return err }, nil},
		{"template run", func(*testing.T) error {
			return texttemplate.Must(texttemplate.New("t").Parse("{{index . 7}}")).Execute(io.Discard, []int{1})
		}, nil},
		{"template function", func(*testing.T) error {
			read := texttemplate.FuncMap{"read": func() (string, error) { return "", fmt.Errorf("read: %w", io.ErrUnexpectedEOF) }}
			return texttemplate.Must(texttemplate.New("t").Funcs(read).Parse("{{read}}")).Execute(io.Discard, nil)
		}, nil},
		{"html template", func(*testing.T) error {
			return template.Must(template.New("t").Parse(`<a href='{{if .}}"{{end}}>`)).Execute(io.Discard, nil)
		}, nil},
		{"mail address", func(*testing.T) error { _, err := mail.ParseAddress("@"); return err }, nil},
		{"media type", func(*testing.T) error { _, _, err := mime.ParseMediaType("a/b; c"); return err }, nil},
	}
}

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, fmt.Errorf("failing: %w", fs.ErrPermission) }

func otherFailures() []failure {
	return []failure{
		{"context cancelled", func(t *testing.T) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx.Err()
		}, nil},
		{"context deadline", func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), -1)
			defer cancel()
			return ctx.Err()
		}, nil},
		{"context cause", func(t *testing.T) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(fmt.Errorf("shop closed: %w", io.EOF))
			return context.Cause(ctx)
		}, nil},
		{"end of file", func(*testing.T) error { _, err := strings.NewReader("").ReadByte(); return err }, nil},
		{"unexpected end", func(*testing.T) error {
			_, err := io.ReadFull(strings.NewReader("a"), make([]byte, 2))
			return err
		}, nil},
		{"closed io pipe", func(*testing.T) error {
			r, w := io.Pipe()
			_ = r.Close()
			_, err := w.Write([]byte("x"))
			return err
		}, nil},
		{"short buffer", func(*testing.T) error {
			_, err := io.ReadAtLeast(strings.NewReader("abc"), make([]byte, 1), 2)
			return err
		}, nil},
		{"line too long", func(*testing.T) error {
			s := bufio.NewScanner(strings.NewReader(strings.Repeat("x", 100)))
			s.Buffer(nil, 10)
			for s.Scan() {
			}
			return s.Err()
		}, nil},
		{"seek", func(*testing.T) error { _, err := strings.NewReader("").Seek(-1, io.SeekStart); return err }, nil},
		{"gzip", func(*testing.T) error { _, err := gzip.NewReader(strings.NewReader("nonsense!!")); return err }, nil},
		{"binary", func(*testing.T) error { return binary.Read(strings.NewReader("a"), binary.BigEndian, new(int64)) }, nil},
		{"gob", func(*testing.T) error { return gob.NewDecoder(strings.NewReader("\x03\x04")).Decode(new(int)) }, nil},
		{"big", func(*testing.T) error { return new(big.Int).UnmarshalText([]byte("x")) }, nil},
		{"no rows", func(t *testing.T) error { return database(t).QueryRow("none").Scan(new(int)) }, nil},
		{"scan", func(t *testing.T) error { return database(t).QueryRow("text").Scan(new(int)) }, nil},
		{"bad connection", func(t *testing.T) error { _, err := database(t).Exec("bad"); return err }, nil},
		{"database closed", func(t *testing.T) error {
			db := database(t)
			require.NoError(t, db.Close())
			return db.Ping()
		}, nil},
		{"transaction done", func(t *testing.T) error {
			tx, err := database(t).Begin()
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
			return tx.Commit()
		}, nil},
		{"unsupported", func(*testing.T) error {
			return http.NewResponseController(httptest.NewRecorder()).SetReadDeadline(time.Time{})
		}, nil},
		{"runtime error", func(*testing.T) (err error) {
			defer func() { err = recover().(error) }()
			var none []int
			_ = none[len(none)]
			return nil
		}, nil},
		{"type assertion", func(*testing.T) (err error) {
			defer func() { err = recover().(error) }()
			_ = any("x").(int)
			return nil
		}, nil},
		{"joined and wrapped", func(t *testing.T) error {
			_, open := os.Open(t.TempDir() + "/none")
			_, number := strconv.Atoi("x")
			return fmt.Errorf("both %w and %w: %w", open, number, errors.Join(io.EOF, context.Canceled))
		}, new(fs.PathError)},
	}
}

func database(t *testing.T) *sql.DB {
	db := sql.OpenDB(fakeDriver{})
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// fakeDriver is a database that knows three statements.
type fakeDriver struct{ sent bool }

func (d fakeDriver) Connect(context.Context) (driver.Conn, error) { return &d, nil }
func (d fakeDriver) Driver() driver.Driver                        { return d }
func (d fakeDriver) Open(string) (driver.Conn, error)             { return &d, nil }
func (d *fakeDriver) Close() error                                { return nil }
func (d *fakeDriver) Begin() (driver.Tx, error)                   { return d, nil }
func (d *fakeDriver) Commit() error                               { return nil }
func (d *fakeDriver) Rollback() error                             { return nil }
func (d *fakeDriver) Columns() []string                           { return []string{"c"} }
func (d *fakeDriver) Prepare(query string) (driver.Stmt, error)   { return fakeStatement(query), nil }
func (d *fakeDriver) Next(dest []driver.Value) error {
	if d.sent {
		return io.EOF
	}
	dest[0], d.sent = "text", true
	return nil
}

type fakeStatement string

func (fakeStatement) Close() error  { return nil }
func (fakeStatement) NumInput() int { return 0 }
func (fakeStatement) Exec([]driver.Value) (driver.Result, error) {
	return nil, driver.ErrBadConn
}

func (s fakeStatement) Query([]driver.Value) (driver.Rows, error) {
	return &fakeDriver{sent: s == "none"}, nil
}
