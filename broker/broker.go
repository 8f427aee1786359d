// Package broker is the contract between engines, which run sagas, and what stores sagas and moves
// them to engines. Package inmem implements it in memory, package redisx on Redis; package
// brokertest proves that an implementation keeps it.
//
// A broker stores, moves and wakes; it knows nothing of steps. What it stores of a saga is opaque
// to it: a record written at the start, a journal that only grows, a memo that is replaced, and an outcome.
//
// # The life of a saga
//
//	Start ──► Ready ──► Owned ──► Finished ──► forgotten after Keep
//	            ▲        │ │ │
//	            │        │ │ └──► Buried   until Resolve
//	            ├────────┘ └────► Held     until an event
//	            └───────────────► Parked   until a time or an event
//
// A saga is owned by at most one worker. The owner alone commits transitions; each names the
// revision it was made from, and every applied transition makes a new revision.
//
// # Claims
//
// A saga may claim keys when it is started. A key is held by one saga at a time, and those that claim it hold it one after the other, in the
// order in which they asked. A saga asks for its keys one by one, in the order of Start.Claims, and for the next only when it holds those before: as all
// ask in one order, nobody waits in a circle. It gives back what it holds, and the place where it waits, when it is finished, and not before.
//
// A saga that did not get all of its keys at its start is stored and handed out like any other, and Record.Waits says so: its worker is to wait for an
// event of kind Granted, which the broker puts into its mailbox once, when it holds all of them. It parks meanwhile.
//
// # Repeats
//
// Every method may be repeated after any error: a call whose reply was lost has either been
// applied or not. Its repeat applies nothing twice, and answers with what holds now. A call whose ctx
// has ended fails with the error of ctx; it too may have been applied.
//
// # Memory
//
// A caller may reuse the slices and bytes that it passed as soon as the method returns: an
// implementation keeps copies. What an implementation returns belongs to the caller.
package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// The errors that callers act upon. Implementations wrap them with what was attempted and on which
// saga; every other error is passing, and the call may be repeated.
var (
	// ErrFenced says that the worker was declared dead: its lease ended or it left. Its sagas belong
	// to others; it must drop all of them and join anew.
	ErrFenced = errors.New("worker was declared dead")
	// ErrStale says that the saga is at another revision, not owned by this worker, or forgotten: drop it.
	ErrStale = errors.New("saga is at another revision")
	// ErrConflict says that the ID is taken by a saga of another flow, version or input.
	ErrConflict = errors.New("id is taken by another saga")
	// ErrOverload says that a limit of the broker's options is reached; nothing was stored.
	ErrOverload = errors.New("backlog limit is reached")
	// ErrLocked says that another saga holds a key that Start.Refuse does not wait for; nothing was stored. It comes as a *LockedError.
	ErrLocked = errors.New("another saga holds the key")
	// ErrUnknown says that there is no such saga, or no longer.
	ErrUnknown = errors.New("no such saga")
	// ErrSettled says that the saga has ended and takes no more events.
	ErrSettled = errors.New("saga is settled")
	// ErrClosed says that the broker was closed.
	ErrClosed = errors.New("broker is closed")
)

// LockedError says which saga holds a key. It is ErrLocked.
type LockedError struct {
	Key    string
	Holder string // ID of the saga
}

// Error names the key and who holds it.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%v %q: saga %q", ErrLocked, e.Key, e.Holder)
}

// Unwrap gives ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// Broker stores sagas and moves them to workers. Its methods may be called concurrently.
type Broker interface {
	// Start stores a saga at revision 1 and makes it ready, in one move. With s.By the saga is owned
	// by that worker at once and not queued, whatever flows it serves; if By is fenced, the saga is
	// queued instead.
	//
	// If the ID exists with the same Flow, Version and Digest, nothing changes and Started.Existed is
	// true, also when the saga has ended and is still kept; with another, the error is ErrConflict.
	// ErrOverload, when too many sagas are ready, leaves nothing behind. Events that were delivered
	// before the start are its mail.
	//
	// A saga with Claims has asked for the first of them when Start returns, so that sagas which are started one after the other get it in
	// that order. A broker of several nodes of which one is down may put that off until it is back. With s.Refuse, ErrLocked is the answer if
	// another saga holds one of them, unless the ID exists.
	Start(ctx context.Context, s Start) (Started, error)

	// Deliver puts ev into the mailbox of the saga, once per ev.ID as long as the saga exists, whether
	// it is ready, parked, held, owned or buried. A parked or held saga becomes ready; the owner of an
	// owned one is told through Receive; a buried one keeps it. If there is no such saga, the event is
	// kept for a start to come, for as long as the broker's options say; ErrOverload, when too many are
	// kept so. A finished saga answers ErrSettled, except to the repeat of an event that it got before.
	Deliver(ctx context.Context, id string, ev Event) error

	// Lookup reads a saga from the store, never from the memory of a worker; with journal it
	// includes the Journal, the Memo and the Mail. Of a finished saga the Record, Journal, Memo and Mail may be gone.
	// ErrUnknown if it never existed or was forgotten.
	Lookup(ctx context.Context, id string, journal bool) (Snapshot, error)

	// Watch calls fn when the saga is held, buried or finished: at once if it is, otherwise soon after
	// it happens, exactly once, from a goroutine that fn must not block: perhaps from the one that
	// called Watch or made the saga so, before that call returns. The caller of a method of a broker
	// holds no lock that fn takes. The snapshot has no journal.
	// A saga that does not exist yet may be watched. stop ends the watch; fn may be running when it returns.
	// It holds no goroutine per id.
	Watch(id string, fn func(Snapshot)) (stop func())

	// Resolve puts decision into the mailbox of a buried saga and makes it ready. rev is the revision
	// that was judged. ErrSettled if the saga is not buried, ErrStale if it is buried at another
	// revision, ErrUnknown if there is none; a repeat of the same decision.ID is acknowledged again.
	Resolve(ctx context.Context, id string, rev uint64, decision Event) error

	// List walks over sagas in order of their IDs, without journals. What starts or ends during the
	// walk may or may not be seen.
	List(ctx context.Context, f Filter) iter.Seq2[Snapshot, error]

	// Stats counts sagas by state.
	Stats(ctx context.Context) (Stats, error)

	// Claimants gives the sagas that claim a key, at most so many: the one that holds it, then those that wait for it, in order. Those that
	// hold or wait for an earlier key of theirs and have not asked for this one are not among them.
	Claimants(ctx context.Context, key string, most int) ([]string, error)

	// Join makes a member able to own sagas. It returns when the lease is durable.
	Join(ctx context.Context, m Member) (Worker, error)

	// Close ends every blocked call with ErrClosed and fails later ones with it. Nothing that was
	// acknowledged is lost by it. A second Close does nothing.
	Close() error
}

// Checker is a Broker that can tell whether it works. Engine.Health asks it.
type Checker interface {
	// Check says what does not work and since when: a connection, a reader, a worker's sign of life. It asks what is outside, and
	// returns when ctx ends.
	Check(ctx context.Context) error
}

// Restorer is a Broker that can store a saga as another broker had it. flow.Import asks for it.
type Restorer interface {
	// Restore stores a saga as s has it, in one move: what it was started with, its revision, takeovers, journal, mail and
	// outcome. It is then in s.State: ready; parked or held until s.Wake, or ready if it has mail; or buried. An owned saga has no
	// owner here, so it is restored as ready. Watchers are told. Events that were delivered before, for a saga to come, are its mail as well.
	// Since, Owner and Stranded count for nothing, and so does the backlog limit.
	//
	// A saga with Claims, or one that Waits, is not restored: its keys belong to where it is.
	//
	// ErrConflict says that the ID is taken, by whatever saga: nothing changed. call names this call, as an Event's ID names an event:
	// its repeat is acknowledged as long as the saga exists. A finished saga cannot be restored.
	Restore(ctx context.Context, s Snapshot, call string) error
}

// Linked is a Broker of a service: it brings messages to the brokers of other services, and takes theirs.
type Linked interface {
	// Service is the name under which others reach this broker. If it is empty the broker is on its own: it commits nothing that has
	// a Message with a Service.
	Service() string
}

// Worker is a membership in a broker. Its methods may be called concurrently.
type Worker interface {
	// Receive blocks until there is something for this worker, ctx ends, or the worker is fenced
	// (ErrFenced). It returns at most room sagas that are newly owned, oldest first, of the flows and
	// versions that this worker serves, never one that its Build rejected; with room 0 none. Where
	// several workers serve them, it may return fewer, to leave others their share. Besides it returns,
	// without limit, mail for sagas that the worker owns and the news that it owns a saga no longer.
	//
	// A saga is handed out once per revision to one worker: by the reply of Start or by one Delivery. If
	// that reply was lost, a repeat of Start answers Existed, and Receive hands the saga out.
	//
	// Mail may cross with a commit: it may hold events that an Ack told of or that were consumed
	// meanwhile, and be for a saga that is owned no longer. Event.ID tells.
	Receive(ctx context.Context, room int) ([]Delivery, error)

	// Commit applies t or nothing. The caller has at most one transition of a saga in flight.
	// A repeat of the last applied transition (same ID and Rev, by the same worker) is acknowledged again:
	// Rev and Owned are as in the first answer, Mail is as it is now. A finished saga knows its last
	// transition as long as it is kept. ErrStale and ErrFenced mean: drop the saga.
	Commit(ctx context.Context, t Transition) (Ack, error)

	// Leave ends the membership and gives every owned saga back at once, at its revision and without
	// counting a takeover. A second Leave does nothing.
	Leave(ctx context.Context) error
}

// Submitter is a Worker that commits without a goroutine that waits. An engine commits through it where there is one.
type Submitter interface {
	// Submit is Commit that does not block: to is told the answer, once, perhaps from another goroutine, which it must not block, perhaps
	// before Submit returns. What t points to stays as it is until then. Closing the broker answers ErrClosed.
	Submit(t Transition, to Submission)
}

// Submission is told the answer to a transition.
type Submission interface {
	// Answered gets what Commit returns.
	Answered(ack Ack, err error)
}

// Member says who joins and what it serves.
type Member struct {
	Name  string        // for people: shown as Snapshot.Owner; need not be unique
	Build string        // names what this member can run; see Reject
	Flows []Served      // only sagas of these are received
	Lease time.Duration // without a sign of life for so long, the worker is dead; must be positive
}

// Served is a flow in one version. Version 0 is that of sagas which other services start: they do not know which versions there are.
type Served struct {
	Flow    string
	Version int
}

// Start is a saga to be stored.
type Start struct {
	ID     string
	Served          // which flow it runs
	Digest [32]byte // of the input: tells a repeat from a conflict
	Record []byte   // header and input
	Parent string   // the saga that started this one, or ""
	By     Worker   // owns the saga at once; nil: the saga is queued
	Claims []string // keys that it is to hold, sorted, each once; they are not told again
	Refuse bool     // if another saga holds one of Claims, store nothing
}

// Started is the answer of Start.
type Started struct {
	Existed bool    // it was stored before; State tells how far it is
	Owned   bool    // Start.By owns it, at revision 1, and this reply hands it out
	State   State   // now
	Waits   bool    // unless Existed: it does not hold all of its claims; see Record.Waits
	Mail    []Event // if Owned: events that were delivered before the start
}

// State is where a saga is.
type State uint8

// The states of a saga.
const (
	Ready    State = iota + 1 // waits for a worker
	Owned                     // a worker has it
	Parked                    // waits for a time or an event
	Held                      // has an outcome, and waits for an event: undo or release
	Buried                    // needs a person
	Finished                  // has an outcome, and is forgotten after Transition.Keep
)

// String gives the state in lower case.
func (s State) String() string {
	names := [...]string{"unknown", "ready", "owned", "parked", "held", "buried", "finished"}
	if int(s) < len(names) {
		return names[s]
	}
	return names[0]
}

// Event is a piece of mail for a saga.
type Event struct {
	ID   string // delivered once per saga
	Kind string // what it means to the engine
	Name string
	Data []byte
	At   time.Time
}

// Granted is the Kind, and the ID, of the event that tells a saga which Waits that it holds all that it claimed.
const Granted = "broker.granted"

// Entry is one fact in a saga's journal.
type Entry struct {
	Path string
	Data []byte
}

// Transition is what the owner of a saga wants to be true, all or nothing.
type Transition struct {
	ID      string
	Rev     uint64    // the revision that it was made from
	Append  []Entry   // facts for the journal
	Memo    []byte    // takes the place of the memo, which tells what holds for now; nil: it stays; empty: none any more
	Consume []string  // IDs of events that leave the mailbox; unknown ones are passed over
	Send    []Message // applied together with this transition, once per Message.ID
	Next    Next
	Until   time.Time     // Park, Hold: the saga is ready again then at the latest; zero: only by an event
	Outcome []byte        // Hold, Bury, Finish
	Keep    time.Duration // Finish: how long the saga can still be looked up, unless the broker's options limit how many are
}

// Next is what becomes of a saga after a transition.
type Next uint8

// The ways on.
const (
	// Keep: the worker goes on with it.
	Keep Next = iota
	// Park: it waits for Until or an event. If there is mail that was not consumed, it stays owned
	// instead, and Ack.Mail has it: a worker that means to park consumes all that it knows of.
	Park
	// Hold is Park for a saga that has an outcome: watchers are told, unless it stays owned.
	Hold
	// Bury: it waits for Resolve, and for nothing else. Watchers are told.
	Bury
	// Finish: it has ended; mail that was not consumed is dropped, journal and record may be. Watchers are told.
	Finish
	// GiveBack: another worker goes on, or the same.
	GiveBack
	// Reject is GiveBack to workers of another Build only, for as long as the saga lives. A saga that every
	// living worker's Build rejected, or that none serves, is stranded.
	Reject
)

// Message is for another saga. Exactly one of Start and Event is set. A Start is queued, whatever its By
// and the backlog limit; if the saga exists already, it does nothing. It may have Claims, for which it waits, unless it is for another service. An Event is applied once per Event.ID;
// for a finished saga it is dropped, and for one that does not exist it is kept like any early mail.
//
// One for another service is on its way when the transition is applied, and is applied there once, soon after that service can be
// reached, however long that takes. Such messages may overtake each other.
type Message struct {
	ID      string // names it where a broker has to store it on its way
	Service string // whose saga it is; "": that of the broker itself
	To      string // the saga's ID; that of Start, if it is one
	Start   *Start
	Event   *Event
}

// Ack is the answer of Commit.
type Ack struct {
	Rev   uint64  // the new revision
	Owned bool    // the worker still owns the saga: after Keep, and after a Park or Hold that crossed with mail
	Mail  []Event // if Owned: what is in the mailbox and was not consumed, in order of delivery
}

// Delivery is one thing that Receive has to say about a saga.
type Delivery struct {
	ID   string
	Saga *Record // it is newly owned
	Mail []Event // it was owned already: new events in its mailbox; some may have been seen in an Ack
	Lost bool    // it is owned no longer: cancel its attempts and commit nothing
}

// Record is all that is stored of a saga that goes on.
type Record struct {
	Start          // without By, Claims and Refuse
	Waits     bool // it did not get all of its claims when it was started: it holds them since it got an event of kind Granted
	Rev       uint64
	Takeovers int     // how often it was taken from a dead worker since the last applied transition
	Journal   []Entry // in order
	Memo      []byte
	Mail      []Event // in order of delivery
}

// Snapshot is a saga as the store has it.
type Snapshot struct {
	Record
	State    State
	Outcome  []byte    // of the last Hold, Bury or Finish, as long as no later transition replaced it
	Owner    string    // Member.Name, if owned
	Since    time.Time // when it got into State
	Wake     time.Time // Parked, Held: Transition.Until
	Stranded bool      // Ready, and no living worker takes it
}

// Filter selects sagas. Zero fields select all.
type Filter struct {
	Flow  string
	State State
	After string // only IDs greater than this
}

// Stats counts sagas.
type Stats struct {
	Ready, Owned, Parked, Held, Buried, Finished int
	Stranded                                     int           // of Ready: no living worker takes them
	Workers                                      int           // living
	Oldest                                       time.Duration // how long the oldest Ready saga has been waiting
}
