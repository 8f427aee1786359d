package participants

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/identity"
	"github.com/skald-go/skald/examples/petshop/trace"
)

// The headers by which a caller names its requests.
const (
	KeyHeader    = "Idempotency-Key"
	UndoesHeader = "Compensates" // the key of the request that this one undoes
)

// operation names a request for Fault.At.
func operation(r *http.Request) string {
	key := r.Header.Get(KeyHeader)
	if r.Method == http.MethodGet {
		return strings.TrimSuffix(key, "/do") + "/read"
	}
	return key
}

// Entry is what a participant noted of a request.
type Entry struct {
	Service string
	Key     string
	Verdict Verdict
	Lost    bool   // the reply never arrived
	Reply   string // body
	Trace   trace.Trace
}

// Step is the path of the step that the request was made by.
func (e Entry) Step() string {
	key := strings.TrimSuffix(strings.TrimSuffix(e.Key, "/do"), "/undo")
	if _, path, found := strings.Cut(key, "/"); found {
		_, path, _ = strings.Cut(path, "/")
		return path
	}
	return key
}

// Undo says whether it was made by the undo of that step.
func (e Entry) Undo() bool { return strings.HasSuffix(e.Key, "/undo") }

// Problem is the reply, if the request was refused.
func (e Entry) Problem() (p domain.Problem) {
	_ = json.Unmarshal([]byte(e.Reply), &p)
	return p
}

// journal is what all participants noted, in order.
type journal struct {
	mu      sync.Mutex
	entries []Entry
}

func (j *journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// service is what all participants have in common. Its mutex guards the ledger, and the state of the
// participant that it is a part of: a request and what is remembered of it happen together.
type service struct {
	name     string
	identity *identity.Identity
	faults   *plan
	journal  *journal
	mux      http.ServeMux
	server   http.Server

	mu     sync.Mutex
	ledger ledger
}

// request is what a handler gets.
type request struct {
	*http.Request
	body  []byte
	undo  bool
	first reply // if undo: to the request that it undoes
}

func (r *request) decode(v any) error {
	if err := json.Unmarshal(r.body, v); err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

// handle registers what the participant does under a pattern of http.ServeMux.
func (s *service) handle(pattern string, effect func(*request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		fault := s.faults.take(operation(r))
		if fault.First != nil {
			fault.First()
		}
		time.Sleep(fault.Delay)
		answer := s.answer(r, body, fault, effect)
		if fault.Twice {
			answer = s.answer(r, body, fault, effect)
		}
		if fault.Lose {
			hangUp(w)
			return
		}
		w.Header().Set("Content-Type", contentType(answer))
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body)
	})
}

func (s *service) answer(r *http.Request, body []byte, fault Fault, effect func(*request) (any, error)) reply {
	answer, verdict := s.decide(&request{Request: r, body: body}, fault, effect)
	s.journal.add(Entry{
		Service: s.name, Key: r.Header.Get(KeyHeader), Verdict: verdict, Lost: fault.Lose,
		Reply: string(answer.body), Trace: trace.Of(r),
	})
	return answer
}

func (s *service) decide(r *request, fault Fault, effect func(*request) (any, error)) (reply, Verdict) {
	if fault.Fail {
		return reply{http.StatusServiceUnavailable, []byte("null")}, Failed
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, err := s.identity.Verify(token); err != nil {
		return replyOf(nil, err), Refused
	}
	perform := func() reply {
		if fault.Err != nil {
			return replyOf(nil, fault.Err)
		}
		return replyOf(effect(r))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		answer := perform()
		return answer, answer.verdict(Read)
	}
	key, undoes := r.Header.Get(KeyHeader), r.Header.Get(UndoesHeader)
	if undoes == "" {
		return s.ledger.do(key, perform)
	}
	return s.ledger.undo(key, undoes, func(first reply) reply {
		r.undo, r.first = true, first
		return perform()
	})
}

func contentType(r reply) string {
	if r.ok() {
		return "application/json"
	}
	return domain.ProblemType
}

// hangUp closes the connection without a reply.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}

// listen serves on a free port of the loopback interface until the service is shut down.
func (s *service) listen() (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("participants: %s: %w", s.name, err)
	}
	s.server.Handler = &s.mux
	go func() { _ = s.server.Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

func (s *service) shutdown(ctx context.Context) error { return s.server.Shutdown(ctx) }
