// What the notifier takes of the service.
import type { Service } from '../schedule/service.ts';

export type NotifierService = Pick<Service, 'config' | 'catalog' | 'clock' | 'log' | 'state' | 'survey'> & {
  /** Left out: nobody is told of what is to come. */
  readonly billing?: Pick<Service['billing'], 'forecast'>;
};
