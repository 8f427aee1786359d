package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/skald-go/skald/internal/chaos/sagas"
)

var _ office = (*desk)(nil)

// desk hands out what is to be started, and keeps what callers were told, in memory and in the database of the town.
type desk struct {
	db        *sql.DB
	retention time.Duration
	approve   func(context.Context, sagas.Job) // sends an order what it waits for, some time
	finished  func(sagas.Job, sagas.Outcome)

	tasks chan *task
	mu    sync.Mutex
	n     uint64
	back  []*task          // that callers had who are gone
	away  map[string]bool  // callers that are
	open  map[uint64]*held // tasks that are not over
	sagas map[string]*story
	order []string // IDs as they were made
	wrong []finding
	acks  int
	last  time.Time // when a caller was told of a start or an end last
}

// held is a task that is not over.
type held struct {
	task   *task
	caller string // "" as long as nobody has it
}

// story is what callers know of a saga.
type story struct {
	job     sagas.Job
	acked   bool
	outcome *sagas.Outcome
	at      time.Time // of the outcome
	told    int       // how often it was told
	causes  map[string]bool
}

// finding is something that must not be.
type finding struct{ ID, What string }

const deskSchema = `create table report (saga text not null, caller text not null, at integer not null, text text not null);
create index reports on report (saga);`

func newDesk(db *sql.DB, retention time.Duration) (*desk, error) {
	if _, err := db.Exec(deskSchema); err != nil {
		return nil, fmt.Errorf("make the table of reports: %w", err)
	}
	return &desk{db: db, retention: retention, tasks: make(chan *task, 64), open: map[uint64]*held{}, away: map[string]bool{}, sagas: map[string]*story{}}, nil
}

// feed makes up jobs, rate a second, until ctx ends. Some are started by two callers, and some are asked for before they are started.
func (d *desk) feed(ctx context.Context, dice *rand.Rand, rate float64, size sagas.Size, owner func(string) string) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		j := sagas.Roll(dice, n, "s", size, owner)
		again, attach := dice.IntN(5) == 0, dice.IntN(10) == 0
		tasks := d.make(j, again, attach)
		if j.Order != nil {
			d.approve(ctx, j)
		}
		for _, t := range tasks {
			select {
			case d.tasks <- t:
			case <-ctx.Done():
				d.putBack(t)
			}
		}
	}
}

// putBack leaves a task to who asks next.
func (d *desk) putBack(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.back = append(d.back, t)
}

func (d *desk) make(j sagas.Job, again, attach bool) []*task {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sagas[j.ID] = &story{job: j, causes: map[string]bool{}}
	d.order = append(d.order, j.ID)
	tasks := []*task{d.add(j, false)}
	if again {
		tasks = append(tasks, d.add(j, false))
	}
	if attach {
		tasks = slices.Insert(tasks, 0, d.add(j, true))
	}
	return tasks
}

// add makes a task. d is locked.
func (d *desk) add(j sagas.Job, attach bool) *task {
	d.n++
	t := &task{N: d.n, Job: j, Attach: attach}
	d.open[t.N] = &held{task: t}
	return t
}

func (d *desk) next(ctx context.Context, caller string) (*task, error) {
	if t := d.returned(caller); t != nil {
		return t, nil
	}
	timer := time.NewTimer(300 * time.Millisecond)
	defer timer.Stop()
	select {
	case t := <-d.tasks:
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.away[caller] { // it asked, and is gone
			d.back = append(d.back, t)
			return nil, nil
		}
		d.open[t.N].caller = caller
		return t, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, nil
}

// returned gives a task that a caller had who is gone, or nil.
func (d *desk) returned(caller string) *task {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.back) == 0 || d.away[caller] {
		return nil
	}
	t := d.back[0]
	d.back = d.back[1:]
	d.open[t.N].caller = caller
	return t
}

func (d *desk) report(ctx context.Context, r report) error {
	if err := d.write(ctx, r); err != nil {
		return err
	}
	if done := d.note(r); done != nil {
		d.finished(*done, *r.Outcome)
	}
	if r.Back {
		d.giveBack(r.Task)
	}
	return nil
}

func (d *desk) write(ctx context.Context, r report) error {
	text, err := json.Marshal(r)
	if err == nil {
		_, err = d.db.ExecContext(ctx, `insert into report values (?, ?, ?, ?)`, r.ID, r.Caller, time.Now().UnixMilli(), string(text))
	}
	if err != nil {
		return fmt.Errorf("write a report of saga %s: %w", r.ID, err)
	}
	return nil
}

// note compares a report with what is known, and gives the job if this is the first that tells its end.
func (d *desk) note(r report) *sagas.Job {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sagas[r.ID]
	if r.Acked && !s.acked {
		s.acked, d.last = true, time.Now()
		d.acks++
	}
	if r.Wrong != "" && !d.forgotten(s) {
		d.find(r.ID, r.Wrong)
	}
	if r.Over && !r.Back {
		delete(d.open, r.Task)
	}
	if r.Outcome == nil {
		return nil
	}
	return d.hear(s, r)
}

// hear notes what a caller was told. d is locked.
func (d *desk) hear(s *story, r report) *sagas.Job {
	o := *r.Outcome
	if !o.Final() {
		s.causes[o.Cause] = true
		return nil
	}
	s.told++
	d.last = time.Now()
	if s.outcome == nil {
		s.outcome, s.at = &o, time.Now()
		return &s.job
	}
	if *s.outcome != o {
		d.find(r.ID, fmt.Sprintf("%s was told %+v, others %+v", r.Caller, o, *s.outcome))
	}
	return nil
}

// forgotten says that the store may have forgotten a saga. d is locked.
func (d *desk) forgotten(s *story) bool {
	return s.outcome != nil && time.Since(s.at) > d.retention*3/4
}

// find notes something that must not be. d is locked.
func (d *desk) find(id, what string) { d.wrong = append(d.wrong, finding{id, what}) }

// found is find for others.
func (d *desk) found(id, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.find(id, what)
}

// gone gives back what the callers of a process had that has ended.
func (d *desk) gone(caller string) {
	d.mu.Lock()
	d.away[caller] = true
	var lost []uint64
	for n, h := range d.open {
		if h.caller == caller {
			lost = append(lost, n)
		}
	}
	d.mu.Unlock()
	slices.Sort(lost)
	for _, n := range lost {
		d.giveBack(n)
	}
}

// giveBack lets another caller ask about a task: as long as the saga is not known to have ended, some start it again.
func (d *desk) giveBack(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.open[n]
	if h == nil || h.caller == "" {
		return
	}
	h.caller = ""
	s := d.sagas[h.task.Job.ID]
	if d.forgotten(s) {
		delete(d.open, n)
		return
	}
	t := *h.task
	t.Attach = t.Attach || s.outcome != nil || s.acked && n%2 == 0
	h.task = &t
	d.back = append(d.back, h.task)
}

// left counts the tasks that are not over, and tells when a caller was told of a start or an end last.
func (d *desk) left() (n int, last time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open), d.last
}

// stuck gives the IDs of sagas without an outcome.
func (d *desk) stuck() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{}
	for _, h := range d.open {
		if d.sagas[h.task.Job.ID].outcome == nil {
			ids[h.task.Job.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// reports gives what callers reported of a saga, as lines.
func (d *desk) reports(ctx context.Context, id string) (lines []string, err error) {
	rows, err := d.db.QueryContext(ctx, `select at, text from report where saga = ? order by at`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var text string
		if err := rows.Scan(&at, &text); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s  %s", time.UnixMilli(at).Format("15:04:05.000"), text))
	}
	return lines, rows.Err()
}

// acknowledged counts the sagas whose start was.
func (d *desk) acknowledged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.acks
}
