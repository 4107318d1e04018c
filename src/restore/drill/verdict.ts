// What a drill found wrong: an error like any other to whoever is told, and yet the drill was done.
import { CoffreError } from '../../errors.ts';

/** Thrown after the evidence was kept: the same drill finds the same again. */
export class DrillVerdict extends CoffreError {}
