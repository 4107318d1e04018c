// Every vault's suite against S3.
import { planParts } from '../../src/vault/s3-upload.ts';
import { describeVault } from './conformance.ts';
import { s3Bench } from './s3-bench.ts';

describeVault('S3', () => s3Bench(), { keepsVersions: true, partBytes: planParts(1).partBytes });
